package fs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"backupfs/internal/pagecache"
	"backupfs/internal/store"
)

// A program that reads one file of a folder after the other is served as the kernel serves one that reads one page of a file after
// the other: what comes next is read before it is asked for, in windows that double as long as it goes on. The files of a window are handed
// to the kernel's page cache (NOTIFY_STORE), all but one in its middle: when that is asked for, the next window is due.
const (
	minWindow = 256 << 10 // bytes of files
	maxWindow = 2 << 20
	// maxHanded is the largest file that is handed over; the kernel reads ahead within larger ones itself.
	maxHanded = 128 << 10
	// maxAside is how many things are done ahead at once. What more there is waits until it is asked for.
	maxAside = 32
)

// ahead is what is done before the kernel asks. Its goroutines hold no lock while they hand files over: the kernel may let them
// wait for a page until another request is answered.
type ahead struct {
	kernel *pagecache.Kernel // nil in a file system that is not mounted
	group  errgroup.Group
}

// close waits for what is done ahead.
func (a *ahead) close() error {
	err := a.group.Wait()
	if a.kernel != nil {
		err = errors.Join(err, a.kernel.Close())
	}
	return err
}

// aside does work on a user beside the requests, unless the mount has much to do. It is no request: who asks for the same later
// is told what is wrong with it, and a panic, which go-fuse would catch in a request, must not end the mount.
func (f *FS) aside(u *user, work func()) (started bool) {
	f.users.hold(u)
	started = f.ahead.group.TryGo(func() error {
		defer f.users.release(u)
		defer func() {
			if r := recover(); r != nil {
				f.logOnce(fmt.Sprintf("user %s: reading ahead: %v", store.Escape(u.slot.folder.Name), r))
			}
		}()
		work()
		return nil
	})
	if !started {
		f.users.release(u)
	}
	return started
}

// readAhead is called for each file that the kernel asks for.
func (f *FS) readAhead(u *user, id uint64, n node) {
	if f.ahead.kernel == nil {
		return
	}
	l, i := f.listed(id)
	if l == nil {
		l, i = lists(f.stretches, id)
	}
	switch before := u.unlisted.Load(); {
	case l != nil && l.walk.asked(i):
		if !f.aside(u, func() { f.handOver(u, l) }) {
			l.walk.stop()
		}
	case l == nil && n.kind == kindContent:
		u.unlisted.Store(n.id)
		if n.id > before && n.id-before < minWindow {
			f.aside(u, func() { f.stretch(u, n) })
		}
	}
}

// stretchFiles is how many files a stretch has, maxStretches how many are kept: 1 MB.
const (
	stretchFiles = 1000
	maxStretches = 32
)

// stretch makes up a listing of what stands behind a file in the archive. It serves who reads folders one after the other that were listed so
// long ago that we forgot it, and the kernel did not: in the archive they stand as they were listed, but for what other days brought.
func (f *FS) stretch(u *user, n node) {
	files, err := u.index.FilesFrom(n.id+1, stretchFiles)
	if err != nil {
		return // who reads them is told
	}
	l := &listing{walk: newWalk()}
	for _, s := range files {
		n.id = s.Tar
		if id, ok := n.encode(); ok {
			l.files = append(l.files, file{node: id, size: s.Size})
		}
	}
	if len(l.files) > 0 {
		f.stretches.put(l.files[0].node, l, 1)
	}
}

// lastContent is where the last file of a listing begins of which it is known.
func (l *listing) lastContent() int64 {
	if l.tars != nil {
		return slices.Max(l.tars)
	}
	for i := range slices.Backward(l.files) {
		if tar, ok := l.tar(i); ok {
			return tar
		}
	}
	return -1
}

// inflateAhead inflates the member behind the one that holds a tar offset, on another core, if the files up to last need it. It
// returns the end of the first.
func (f *FS) inflateAhead(u *user, tar, last int64) (end int64) {
	m, err := u.member(tar)
	if err != nil || m.End().Tar > last {
		return last + 1
	}
	end = m.End().Tar
	f.aside(u, func() { _ = f.members.Load(context.Background(), u.archive, u.known, end) })
	return end
}

// goOn makes ready for a program that goes on to the next folder, when all of one is handed over to it: what that one begins with is
// inflated, and its first window is as large as the last one here.
func (f *FS) goOn(u *user, l *listing, size int64) {
	id, n, ok := f.behind(u, l.node)
	if !ok {
		return
	}
	next, err := f.listing(u, id, n)
	if err != nil {
		return // who goes there is told
	}
	next.walk.begin(size)
	var end int64 // of what is inflated
	for i := 0; i < len(next.files) && size > 0; i++ {
		size -= next.files[i].size
		tar, ok := next.tar(i)
		if !ok || tar < end {
			continue
		}
		m, err := u.member(tar)
		if err != nil || f.members.Load(context.Background(), u.archive, u.known, tar) != nil {
			return
		}
		end = m.End().Tar
	}
}

// listAhead makes the listing that a walk wants next, while the kernel digests this one.
func (f *FS) listAhead(u *user, n node) {
	if f.ahead.kernel == nil {
		return
	}
	if id, next, ok := f.behind(u, n); ok {
		f.aside(u, func() { _, _ = f.listing(u, id, next) })
	}
}

// behind is the directory that a walk of a date comes to behind another.
func (f *FS) behind(u *user, n node) (id uint64, next node, ok bool) {
	if n.kind != kindDir {
		return 0, node{}, false
	}
	t, err := f.tree(u, n)
	if err != nil {
		return 0, node{}, false
	}
	d := t.after(n.id)
	if d == nil {
		return 0, node{}, false
	}
	n.id = d.id
	id, ok = n.encode()
	return id, n, ok
}
