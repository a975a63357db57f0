package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/source"
)

// folderFiles are the files of a folder besides cyrus.backupfs, in the order in which they are stored.
var folderFiles = []string{"cyrus.index", "cyrus.header", "cyrus.annotations", "cyrus.mailbox_annotations"}

// store appends the meta files of a snapshot that changed; the messages stand in the archive already.
func (f *fetched) store(id string, st index.State, snap *source.Snapshot) error {
	r := f.r
	for _, err := range snap.Problems {
		r.problem(f.m.Archived, 0, err)
	}
	for _, file := range snap.Files {
		if file.Err != nil && !errors.Is(file.Err, cyrus.ErrDatabase) { // of which the server as a whole is told
			r.problemOfAll(file.Err)
		}
	}
	res, err := f.resolve(snap)
	if err != nil {
		return err
	}
	had := st.Metas
	if !maps.Equal(res.odd.Message, f.odd.Message) || !maps.Equal(res.odd.Missing, f.odd.Missing) {
		// Exceptions count from a cyrus.index on (docs/format.md), so it is stored again though it may be the same.
		had = maps.Clone(had)
		delete(had, "cyrus.index")
	}
	dir := "folders/" + id + "/"
	stored, err := r.storeFiles(dir, folderFiles, snap.Files, had)
	if err != nil {
		return err
	}
	r.sums[id] = res.sum
	if stored > 0 {
		r.result.Changed++
	} else if res.odd.Fingerprint == st.Fingerprint {
		return nil
	}
	r.marker.Missing += res.missing
	r.marker.Mismatched += res.mismatched
	return r.storeFile(dir, source.File{Name: "cyrus.backupfs", Data: res.odd.Marshal(), Mtime: r.begun.Unix()})
}

// storeFiles stores those of the named files whose content is not what the archive has, and notes those that are gone. One that could not be
// read stays as the run before left it. It returns how many entries that took.
func (r *run) storeFiles(dir string, names []string, files []source.File, had map[string]index.Meta) (n int, err error) {
	for _, name := range names {
		old, hadIt := had[name]
		i := slices.IndexFunc(files, func(f source.File) bool { return f.Name == name })
		switch {
		case i < 0 && hadIt:
			n++
			_, err = r.app.Add(archive.Entry{Name: dir + name, Type: archive.TypeFile}, bytes.NewReader(nil))
		case i >= 0 && files[i].Err != nil:
		case i >= 0 && !(hadIt && old.SHA1 == cyrus.GUID(sha1.Sum(files[i].Data))):
			n++
			err = r.storeFile(dir, files[i])
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (r *run) storeFile(dir string, f source.File) error { return addFile(r.app, dir, f) }

func addFile(app *archive.Appender, dir string, f source.File) error {
	sum := sha1.Sum(f.Data)
	_, err := app.Add(archive.Entry{
		Name: dir + f.Name, Linkname: hex.EncodeToString(sum[:]), Type: archive.TypeFile,
		Size: int64(len(f.Data)), Mtime: f.Mtime, Inode: f.Inode,
	}, bytes.NewReader(f.Data))
	return err
}

// readMeta reads a meta file back from the archive.
func (r *run) readMeta(m index.Meta) ([]byte, error) {
	if r.cache == nil {
		r.cache = archive.NewCache(metaCache)
	}
	if m.Size > index.MaxMeta {
		return nil, fmt.Errorf("%s: %d bytes are too many to be read", m.Name, m.Size)
	}
	if m.Size > r.last.End.Tar-m.Tar {
		return nil, fmt.Errorf("index: %s of %d bytes ends behind the archive", m.Name, m.Size)
	}
	b := make([]byte, m.Size)
	_, err := r.cache.ReadAt(context.Background(), r.arch, r.ix.Known(), b, m.Tar)
	return b, err
}

// metaCache is the memory for meta files that are read back: a few members.
const metaCache = 4 * archive.MemberSize
