package fs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// GetAttr is stat of a node that the kernel knows.
func (f *FS) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	r := newRequest(cancel)
	defer r.close()
	e, err := f.stat(r, in.NodeId)
	if err != nil {
		return f.errno(err, in.NodeId)
	}
	*out = fuse.AttrOut{AttrValid: uint64(attrTTL(in.NodeId) / time.Second)}
	f.attr(e, &out.Attr)
	return fuse.OK
}

// stat returns a node's entry, without its name.
func (f *FS) stat(ctx *request, id uint64) (entry, error) {
	n, ok := decode(id)
	if !ok {
		return entry{}, errStale
	}
	switch n.kind {
	case kindRoot:
		return f.topEntry("", n.id)
	case kindUser:
		s, err := f.users.slot(n.slot)
		if err != nil {
			return entry{}, err
		}
		return f.userEntry(s), nil
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return entry{}, err
	}
	defer f.users.release(u)
	switch {
	case n.isFile():
		p, err := f.place(u, id, n)
		return fileEntry("", id, p.size, p.mtime), err
	case n.isLatest():
		r, err := u.run(n.run)
		return entry{node: id, mode: syscall.S_IFLNK, nlink: 1, size: int64(len(r.Date)), mtime: r.Begun.Unix(), ttl: soon}, err
	}
	t, err := f.tree(u, n)
	if err != nil {
		return entry{}, err
	}
	switch n.kind {
	case kindDir:
		if d := t.dirs[n.id]; d != nil {
			return dirEntry(t, n.slot, d)
		}
	case kindSpecial:
		for _, name := range specialNames {
			if specials[name] == n.id {
				return specialEntry(t, n.slot, name)
			}
		}
	case kindLink:
		l, err := t.link(n.id)
		if err != nil {
			return entry{}, err
		}
		return linkEntry(t, n.slot, l)
	}
	return entry{}, errStale
}

// place is where a file's bytes stand in the tar, -1 if they are lost, and its attributes.
type place struct{ tar, size, mtime int64 }

// place finds a file: in the listing that led to it, or as a message or meta file.
func (f *FS) place(u *user, id uint64, n node) (place, error) {
	if l, i := f.listed(id); l != nil {
		if tar, ok := l.tar(i); ok {
			return place{tar, l.files[i].size, l.files[i].mtime}, nil
		}
	}
	m, ok, err := f.asked(u, id, n)
	if n.isRow() && err == nil && (!ok || m.Tar < 0 && !m.Lost) {
		err = errStale
	}
	if n.isRow() || ok || err != nil {
		return place{m.Tar, m.Size, m.InternalDate}, err
	}
	meta, ok, err := u.index.MetaAt(n.id)
	if err == nil && !ok {
		err = errStale
	}
	return place{n.id, meta.Size, meta.Mtime}, err
}
