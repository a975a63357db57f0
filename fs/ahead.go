package fs

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"

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
	server *fuse.Server // nil in a file system that is not mounted
	group  errgroup.Group
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

// walk is how far a listing is read. The kernel has what it needs of files [0,end), or will ask.
type walk struct {
	mu     sync.Mutex
	last   int   // the file asked for last; -1: none
	end    int   // behind the window
	mark   int   // the file in the window that is not handed over; -1: there is no window
	size   int64 // bytes of the window
	passed int   // files before it were asked for while the window was being handed over
	busy   bool  // somebody hands the window over
	more   bool  // and is to go on with the next
}

func newWalk() walk { return walk{last: -1, mark: -1} }

// asked notes that the kernel asks for a file; due says that the caller has to hand the next windows over.
func (w *walk) asked(i int) (due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	follows := i == w.last+1
	w.last = i
	switch {
	case w.busy:
		w.passed = max(w.passed, i+1)
		w.more = w.more || i >= w.mark && i <= w.end
		return false
	case w.mark >= 0 && (i == w.mark || i == w.end):
		w.size = min(2*w.size, maxWindow)
		w.end = max(w.end, i+1)
	case follows:
		w.size, w.end = minWindow, i+1
	default:
		return false
	}
	w.busy, w.more, w.passed = true, false, 0
	return true
}

// next opens the window behind the last one; ok is false if nobody needs it.
func (w *walk) next(files []file, first bool) (from, to, mark int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !first && !w.more || w.end == len(files) {
		w.busy = false
		return 0, 0, 0, false
	}
	if !first {
		w.size, w.more = min(2*w.size, maxWindow), false
	}
	from = w.end
	to = from
	for left := w.size; to < len(files) && left > 0; to++ {
		left -= files[to].size
	}
	w.end, w.mark = to, from+(to-from)/2
	return from, to, w.mark, true
}

// skip says that a file is not to be handed over any more: it was asked for meanwhile.
func (w *walk) skip(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return i < w.passed
}

// stop ends a walk: the next file that is asked for does not go on with it.
func (w *walk) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy, w.mark, w.last = false, -1, -2
}

// readAhead is called for each file that the kernel asks for.
func (f *FS) readAhead(u *user, id uint64, n node) {
	if f.ahead.server == nil {
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

// handOver hands windows to the kernel as long as they are wanted.
func (f *FS) handOver(u *user, l *listing) {
	done := false
	defer func() {
		if !done {
			l.walk.stop()
		}
	}()
	last := l.lastContent()
	end := int64(0) // of the member that was taken from last
	for first := true; ; first = false {
		from, to, mark, ok := l.walk.next(l.files, first)
		if !ok {
			done = true
			return
		}
		for i := from; i < to; i++ {
			p := &l.files[i]
			tar, ok := l.tar(i)
			if i == mark || !ok || tar < 0 || p.size == 0 || p.size > maxHanded || l.walk.skip(i) {
				continue
			}
			if tar >= end {
				end = f.inflateAhead(u, tar, last)
			}
			known := true
			_ = f.members.View(context.Background(), u.archive, u.known, tar, p.size, func(data []byte) error {
				known = f.ahead.server.InodeNotifyStoreCache(p.node, 0, data) == fuse.OK
				return nil
			}) // whoever asks for the file is told of an error
			if !known {
				return // to the kernel: the file was not listed, or is forgotten. Or the mount has ended
			}
		}
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

// listAhead makes the listing that a walk wants next, while the kernel digests this one.
func (f *FS) listAhead(u *user, n node) {
	if n.kind != kindDir || f.ahead.server == nil {
		return
	}
	t, err := f.tree(u, n)
	if err != nil {
		return
	}
	d := t.after(n.id)
	if d == nil {
		return
	}
	n.id = d.id
	if id, ok := n.encode(); ok {
		f.aside(u, func() { _, _ = f.listing(u, id, n) })
	}
}
