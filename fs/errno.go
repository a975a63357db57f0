package fs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/internal/store"
)

var (
	errNoEntry = errors.New("there is no such file")
	errNotDir  = errors.New("it is not a directory")
	errNotLink = errors.New("it is not a link")
	errIsDir   = errors.New("it is a directory")
	errLong    = errors.New("the name is too long")
	errNoAttr  = errors.New("there is no such attribute")
	// errStale: what a node id stands for is no more; the kernel looks the path up again.
	errStale = errors.New("it was replaced")
	// errLost: the archive was damaged there before its index was made.
	errLost = errors.New("its bytes are not in the archive, and the server had them")
	// errNoFlags: which the log has of their folder.
	errNoFlags = errors.New("its flags cannot be read")
	// errNoFit: a number is too large for a node id.
	errNoFit = errors.New("more than a mount can number")
)

// errno is the only place that makes an errno of an error. What is no fault of the caller's is logged, with what the node is,
// once.
func (f *FS) errno(err error, id uint64) fuse.Status {
	for _, known := range []struct {
		err    error
		status fuse.Status
	}{
		{nil, fuse.OK},
		{errNoEntry, fuse.ENOENT},
		{errNotDir, fuse.ENOTDIR},
		{errNotLink, fuse.EINVAL},
		{errIsDir, fuse.EISDIR},
		{errLong, fuse.Status(syscall.ENAMETOOLONG)},
		{errNoAttr, fuse.ENOATTR},
		{errStale, fuse.Status(syscall.ESTALE)},
		{errNoFlags, fuse.EIO},
		{context.Canceled, fuse.EINTR},
	} {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	key := fmt.Sprintf("%x: %v", id, err)
	if _, logged := f.reported.get(key); !logged {
		f.reported.put(key, struct{}{}, 1)
		f.opts.Log.Printf("%s: %v", f.describe(id), err)
	}
	return fuse.EIO
}

// logOnce logs a text unless it was logged lately.
func (f *FS) logOnce(text string) {
	if _, logged := f.reported.get(text); !logged {
		f.reported.put(text, struct{}{}, 1)
		f.opts.Log.Print(text)
	}
}

// describe says what a node is.
func (f *FS) describe(id uint64) string {
	n, ok := decode(id)
	if !ok || n.kind == kindRoot {
		return "the root"
	}
	s, err := f.users.slot(n.slot)
	if err != nil {
		return fmt.Sprintf("node %#x", id)
	}
	words := []string{"user " + store.Escape(s.folder.Name)}
	// Only what is open anyway can say more.
	if u := f.users.opened(s); u != nil {
		defer f.users.release(u)
		words = append(words, f.locate(u, id, n)...)
	}
	switch n.kind {
	case kindContent:
		words = append(words, fmt.Sprintf("at %d of the tar", n.id))
	case kindMessage, kindFlagged:
		words = append(words, fmt.Sprintf("row %d", n.id))
	}
	return strings.Join(words, ", ")
}

// locate says where a node is: date, folder, message. A file can stand in many places; the one that was listed last is named, else the
// first.
func (f *FS) locate(u *user, id uint64, n node) (words []string) {
	at, uid := n, uint32(0)
	if l, i := f.listed(id); l != nil {
		at, uid = l.node, l.files[i].uid
	} else if n.kind == kindContent {
		holders, err := u.index.Holders(n.id, n.id+1)
		if err != nil || len(holders) == 0 {
			return nil
		}
		h := holders[0]
		at, uid = f.dirOf(u, h.First, h.Folder), h.UID
	} else if n.kind == kindFlagged {
		m, folder, ok, err := u.index.MessageByID(n.id)
		if err != nil || !ok {
			return nil
		}
		at, uid = f.dirOf(u, n.run, folder), m.UID
	}
	return f.words(u, at, uid)
}

// words say what a directory is, and which message in it, if uid is not 0.
func (f *FS) words(u *user, at node, uid uint32) (words []string) {
	if t, err := f.tree(u, at); err == nil {
		words = append(words, t.name())
		if d := t.dirs[at.id]; at.kind == kindDir && d != nil && d.parent != nil {
			words = append(words, strconv.Quote(d.path()))
		}
	}
	if uid != 0 {
		words = append(words, fmt.Sprintf("message %d", uid))
	}
	return words
}

// dirOf is a folder's directory at a date; if there is none, its id is -1.
func (f *FS) dirOf(u *user, run int, folder int64) node {
	at := node{kind: kindDir, run: run, id: -1}
	t, err := f.tree(u, at)
	if err != nil {
		return at
	}
	for _, d := range t.dirs {
		if d.folder == folder && folder != 0 {
			at.id = d.id
		}
	}
	return at
}
