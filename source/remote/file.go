package remote

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

const (
	// maxMeta bounds a meta file: an index of eight million messages.
	maxMeta = 1 << 30
	// smallMessage is what is read into memory. Larger ones go to a file.
	smallMessage = 1 << 20
)

// errUnread: the agent began to send a file and could not read it to its end.
var errUnread = errors.New("the server could not read its file to the end")

// file reads the bytes behind a DATA line into w, and the line behind them. unread is why they do not count.
func (c *conn) file(h wire.Head, w io.Writer) (digest cyrus.GUID, unread, err error) {
	to := &hashing{w: w, hash: sha1.New()}
	_, err = io.CopyN(to, c.in, h.Size)
	switch {
	case to.err != nil:
		return digest, nil, to.err
	case err != nil:
		return digest, nil, lost{err}
	}
	to.hash.Sum(digest[:0])
	words, err := c.line()
	switch {
	case err != nil:
		return digest, nil, err
	case words[0] == "NO":
		return digest, errUnread, nil
	case len(words) != 3 || words[0] != "DONE" || words[1] != h.Name:
		return digest, nil, unexpected(words)
	case words[2] != hex.EncodeToString(digest[:]):
		return digest, nil, lost{fmt.Errorf("sent %s with another digest than it says", h.Name)}
	}
	return digest, nil, nil
}

// hashing keeps apart what goes wrong with w.
type hashing struct {
	w    io.Writer
	hash hash.Hash
	err  error
}

func (h *hashing) Write(p []byte) (int, error) {
	h.hash.Write(p)
	n, err := h.w.Write(p)
	h.err = err
	return n, err
}

// meta reads a meta file. Its memory grows with what arrives.
func (c *conn) meta(h wire.Head, name string) (source.File, error) {
	if h.Size > maxMeta {
		return source.File{}, lost{fmt.Errorf("sent %s of %d bytes", h.Name, h.Size)}
	}
	var b bytes.Buffer
	digest, unread, err := c.file(h, &b)
	if err == nil && unread != nil {
		err = lost{unread}
	}
	return source.File{Name: name, Data: b.Bytes(), Mtime: h.Mtime, Inode: h.Inode, SHA1: digest}, err
}

// head reads the words of a file behind its DATA, STAT or SAME.
func head(words []string) (wire.Head, error) {
	h, err := wire.ParseHead(words[1:])
	if err != nil {
		return h, unexpected(words)
	}
	return h, nil
}

// body holds one message at a time.
type body struct {
	small []byte
	large *os.File // has no name
}

// message reads the message of a record. It is valid until the next one.
func (c *conn) message(h wire.Head, r *cyrus.Record, b *body) (m source.Message, digest cyrus.GUID, unread, err error) {
	m = source.Message{Record: *r, Size: h.Size, Mtime: h.Mtime, Inode: h.Inode}
	if h.Size <= smallMessage {
		to := bytes.NewBuffer(b.small[:0])
		digest, unread, err = c.file(h, to)
		b.small = to.Bytes()
		m.Body = bytes.NewReader(b.small)
		return m, digest, unread, err
	}
	if err := b.empty(); err != nil {
		return m, digest, nil, err
	}
	digest, unread, err = c.file(h, b.large)
	m.Body = b.large
	return m, digest, unread, err
}

// empty makes room for a large message.
func (b *body) empty() (err error) {
	if b.large == nil {
		if b.large, err = os.CreateTemp("", "backupd-"); err != nil {
			return err
		}
		return os.Remove(b.large.Name())
	}
	if err = b.large.Truncate(0); err == nil {
		_, err = b.large.Seek(0, io.SeekStart)
	}
	return err
}

func (b *body) close() {
	if b.large != nil {
		_ = b.large.Close() // nobody needs it any more
	}
}

// metaName is the name of a meta file in a snapshot, of which the protocol has the end.
func metaName(word string) string { return "cyrus." + word }

// wordOf is the inverse.
func wordOf(name string) string { return strings.TrimPrefix(name, "cyrus.") }
