package index

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
)

// Files of a folder that mean something here.
const (
	indexFile    = "cyrus.index"
	backupfsFile = "cyrus.backupfs"
)

var folderFiles = map[string]bool{
	indexFile: true, "cyrus.header": true, "cyrus.annotations": true, "cyrus.mailbox_annotations": true, backupfsFile: true,
}

var userFiles = map[string]bool{"seen": true, "sub": true}

func folderEntry(uniqueid, name string) string { return "folders/" + uniqueid + "/" + name }

// MaxMeta is the largest meta file that anyone takes into memory: a cyrus.index of seven million messages.
const MaxMeta = 1 << 30

// entry applies one entry of the tar stream. Unknown names are skipped (docs/format.md).
func (b *batch) entry(e archive.Entry, body io.Reader) error {
	top, rest, _ := strings.Cut(e.Name, "/")
	switch {
	case top == "imap" && e.Type == archive.TypeLink:
		return b.link(strings.TrimSuffix(rest, "/"), e)
	case e.Type != archive.TypeFile:
		return nil
	case top == "files":
		g, err := cyrus.ParseGUID(rest)
		// A message is never gone; only one that is empty may look so.
		if err != nil || e.Gone() && g != sha1.Sum(nil) {
			return nil
		}
		return b.file(g, e)
	case top == "meta" && userFiles[rest]:
		sum, _, err := metaContent(e, body, false)
		if errors.Is(err, archive.ErrDamaged) {
			return b.lost(e)
		}
		if err != nil {
			return err
		}
		return b.meta(0, rest, sum, e)
	case top == "folders":
		uniqueid, name, _ := strings.Cut(rest, "/")
		if uniqueid == "" || !folderFiles[name] {
			return nil
		}
		return b.folderFile(uniqueid, name, e, body)
	}
	return nil
}

func (b *batch) link(name string, e archive.Entry) error {
	if name == "" {
		return nil
	}
	c := nameChange{name: name}
	if e.Linkname != "" {
		f, err := b.folder(e.Linkname)
		if err != nil {
			return err
		}
		c.folder = f
	}
	b.names = append(b.names, c)
	return nil
}

func (b *batch) folderFile(uniqueid, name string, e archive.Entry, body io.Reader) error {
	f, err := b.folder(uniqueid)
	if err != nil {
		return err
	}
	b.touch(f)
	read := name == indexFile || name == backupfsFile
	if read && e.Size > MaxMeta {
		if err := b.problem(e.Name, fmt.Sprintf("%d bytes are too many to be read", e.Size)); err != nil {
			return err
		}
		read = false
	}
	sum, raw, err := metaContent(e, body, read)
	lost := errors.Is(err, archive.ErrDamaged)
	if err != nil && !lost {
		return err
	}
	if err := b.meta(f.id, name, sum, e); err != nil {
		return err
	}
	switch {
	case lost:
		return b.lost(e)
	case !read:
		return nil
	case name == indexFile:
		return b.index(f, raw)
	default:
		return b.backupfs(f, raw)
	}
}

// lost notes an entry whose bytes are damaged.
func (b *batch) lost(e archive.Entry) error { return b.problem(e.Name, "its bytes are damaged") }

// metaContent returns the digest of a meta file, from its link name or else of its bytes, and its bytes where they are
// wanted, nil if it is gone.
func metaContent(e archive.Entry, body io.Reader, want bool) (cyrus.GUID, []byte, error) {
	sum, err := cyrus.ParseGUID(e.Linkname)
	if e.Gone() || err == nil && !want {
		return sum, nil, nil
	}
	h := sha1.New()
	if !want {
		_, err := io.Copy(h, body)
		return cyrus.GUID(h.Sum(nil)), nil, err
	}
	var buf bytes.Buffer
	buf.Grow(int(min(e.Size, archive.MemberSize))) // more only as it comes
	if _, cerr := buf.ReadFrom(body); cerr != nil {
		return sum, nil, cerr
	}
	if err != nil {
		h.Write(buf.Bytes())
		sum = cyrus.GUID(h.Sum(nil))
	}
	raw := buf.Bytes()
	if raw == nil {
		raw = []byte{} // empty, but there
	}
	return sum, raw, nil
}
