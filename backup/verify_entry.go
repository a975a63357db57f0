package backup

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
)

// entry checks the bytes of one entry. What its member lost is told by the damage that follows.
func (v *verifier) entry(e archive.Entry, body io.Reader) error {
	if e.Type != archive.TypeFile || e.Gone() {
		v.report.Entries++
		return nil
	}
	h := sha1.New()
	var content bytes.Buffer
	w := io.Writer(h)
	folder, file, parsed := folderFile(e.Name)
	parsed = parsed || e.Name == lostEntry
	if parsed = parsed && e.Size <= index.MaxMeta; parsed {
		w = io.MultiWriter(h, &content)
	}
	n, err := io.Copy(w, body)
	if errors.Is(err, archive.ErrDamaged) {
		return nil
	}
	if err != nil {
		return err
	}
	v.report.Entries++
	v.report.Bytes += n
	err = wrongBytes(e, n, hex.EncodeToString(h.Sum(nil)))
	if err == nil && parsed {
		err = v.parse(folder, file, content.Bytes())
	}
	if err != nil {
		v.bad = append(v.bad, stretch{from: e.Data, to: e.Data + max(e.Size, 1), err: fmt.Errorf("%s: %w: %w", e.Name, archive.ErrDamaged, err)})
	}
	return nil
}

// wrongBytes says what is wrong with an entry that has n bytes of this SHA-1.
func wrongBytes(e archive.Entry, n int64, sum string) error {
	name, isFile := strings.CutPrefix(e.Name, "files/")
	switch {
	case e.Type != archive.TypeFile || e.Gone():
		return nil
	case n != e.Size:
		return fmt.Errorf("it has %d bytes instead of %d", n, e.Size)
	case isFile && name != sum:
		return fmt.Errorf("its SHA-1 is %s", sum)
	case len(e.Linkname) == len(sum) && !strings.EqualFold(e.Linkname, sum):
		return fmt.Errorf("its SHA-1 is %s instead of %s", sum, e.Linkname)
	}
	return nil
}

// folderFile tells the files of a folder that are parsed.
func folderFile(entry string) (folder, file string, ok bool) {
	rest, ok := strings.CutPrefix(entry, "folders/")
	if !ok {
		return "", "", false
	}
	folder, file, ok = strings.Cut(rest, "/")
	return folder, file, ok && (file == "cyrus.index" || file == "cyrus.backupfs")
}

func (v *verifier) parse(folder, file string, content []byte) error {
	if folder == "" {
		return parseLost(bytes.NewReader(content), func(l Lost) {
			v.lost[l.Name] = l
			v.report.named = append(v.report.named, l)
		})
	}
	if file == "cyrus.index" {
		_, err := cyrus.ParseIndex(content)
		return err
	}
	odd, err := index.ParseExceptions(content)
	if err == nil && len(odd.Missing) > 0 {
		v.notes = append(v.notes, note{folder: folder, missing: odd.Missing})
	}
	return err
}
