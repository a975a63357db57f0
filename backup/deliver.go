package backup

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/source"
)

// smallMessage is what is read into memory once. Larger ones are hashed first and read again, so that memory stays bounded;
// one message in some thousands is.
const smallMessage = 1 << 20

// deliver stores one message under its true SHA-1, if the archive lacks it. A file that cannot be read is noted and stops nothing;
// an error of the archive ends the run.
func (f *fetched) deliver(m source.Message) error {
	r := f.r
	if r.fatal != nil {
		return r.fatal
	}
	here, body, err := r.read(m)
	if err != nil {
		f.unread[m.Record.UID] = err
		return nil
	}
	_, ok, err := r.held(here.guid)
	if err == nil && !ok {
		err = r.append(m, here, body)
	}
	if err != nil {
		r.fatal = wrap(f.m, fmt.Errorf("message %d: %w", m.Record.UID, err))
		return r.fatal
	}
	f.got[m.Record.UID] = here
	r.progress()
	return nil
}

// read hashes a message and returns a reader of the same bytes.
func (r *run) read(m source.Message) (found, io.Reader, error) {
	switch {
	case m.Size > archive.MaxSize:
		return found{}, nil, archive.ErrTooLarge
	case m.Size <= smallMessage:
		if int64(cap(r.buf)) < m.Size {
			r.buf = make([]byte, smallMessage)
		}
		b := r.buf[:m.Size]
		n, err := m.Body.ReadAt(b, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return found{}, nil, err
		}
		b = b[:n] // a file that shrank is stored as it is
		return found{sha1.Sum(b), int64(n)}, bytes.NewReader(b), nil
	}
	h := sha1.New()
	n, err := io.Copy(h, io.NewSectionReader(m.Body, 0, m.Size))
	if err != nil {
		return found{}, nil, err
	}
	return found{cyrus.GUID(h.Sum(nil)), n}, io.NewSectionReader(m.Body, 0, n), nil
}

// append appends a message. The bytes of a large one are hashed again while they go by: if they are others than a moment
// ago the run ends, since the name before them would not be their digest.
func (r *run) append(m source.Message, here found, body io.Reader) error {
	h := sha1.New()
	large := here.size > smallMessage
	if large {
		body = io.TeeReader(body, h)
	}
	digest := hex.EncodeToString(here.guid[:])
	_, err := r.app.Add(archive.Entry{
		Name: "files/" + digest, Linkname: digest, Type: archive.TypeFile,
		Size: here.size, Mtime: m.Record.InternalDate, Inode: m.Inode,
	}, body)
	if err != nil {
		return err
	}
	if large && cyrus.GUID(h.Sum(nil)) != here.guid {
		return errors.New("the file changed while it was read")
	}
	r.added[here.guid] = here.size
	r.marker.NewMessages++
	r.marker.NewBytes += here.size
	return nil
}
