package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// packed is what a backup reads of a server: the spool, the users' files, the list of mailboxes, the configuration.
var packed = []string{"conf/annotations.db", "conf/mailboxes.db", "conf/user", "imapd.conf", "spool"}

// pack writes the server's files into a .tar.gz, sorted, owned by cyrus:mail, which Cyrus's own tools insist on, or by root
// where there is no such user. In imapd.conf @ROOT@ stands for the folder that
// it will be unpacked in.
func pack(dir, path string) (err error) {
	var b bytes.Buffer
	zip, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(zip)
	for _, top := range packed {
		err := filepath.WalkDir(filepath.Join(dir, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return add(w, dir, path, d)
		})
		if err != nil {
			return err
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

func add(w *tar.Writer, dir, path string, d fs.DirEntry) error {
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	// Cyrus makes its cache anew from the messages, and squatter's index too: no backup needs them.
	if d.Name() == "cyrus.cache" || d.Name() == "cyrus.squat" {
		return nil
	}
	h := &tar.Header{Name: rel, Mode: 0o644, ModTime: info.ModTime().Truncate(time.Second),
		Uname: "cyrus", Gname: "mail", Format: tar.FormatUSTAR}
	switch {
	case d.IsDir():
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, rel+"/"
		return w.WriteHeader(h)
	case !d.Type().IsRegular():
		return fmt.Errorf("%s: neither file nor folder", path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if rel == "imapd.conf" {
		content = []byte(strings.ReplaceAll(string(content), dir, "@ROOT@"))
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
