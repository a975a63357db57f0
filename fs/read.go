package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Read reads from a file. It is all or nothing: the kernel would take fewer bytes for the file's end.
func (f *FS) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	r := newRequest(cancel)
	defer r.close()
	n, err := f.read(r, in.NodeId, buf, in.Offset)
	if err != nil {
		return nil, f.errno(err, in.NodeId)
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (f *FS) read(ctx *request, id uint64, buf []byte, off uint64) (int, error) {
	n, ok := decode(id)
	if !ok {
		return 0, errStale
	}
	if !n.isFile() {
		return 0, errIsDir
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return 0, err
	}
	defer f.users.release(u)
	p, err := f.place(u, id, n)
	if err != nil || off >= uint64(p.size) {
		return 0, err
	}
	if p.tar < 0 {
		return 0, errLost
	}
	if off == 0 {
		f.readAhead(u, id, n)
	}
	buf = buf[:min(uint64(len(buf)), uint64(p.size)-off)]
	return f.members.ReadAt(ctx, u.archive, u.known, buf, p.tar+int64(off))
}

// Readlink reads a link.
func (f *FS) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	r := newRequest(cancel)
	defer r.close()
	target, err := f.readlink(r, header.NodeId)
	return []byte(target), f.errno(err, header.NodeId)
}

func (f *FS) readlink(ctx *request, id uint64) (string, error) {
	n, ok := decode(id)
	if !ok {
		return "", errStale
	}
	if n.kind != kindLink {
		return "", errNotLink
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return "", err
	}
	defer f.users.release(u)
	if n.isLatest() {
		r, err := u.run(n.run)
		return r.Date, err
	}
	t, err := f.tree(u, n)
	if err != nil {
		return "", err
	}
	l, err := t.link(n.id)
	return l.target, err
}
