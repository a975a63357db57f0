package fs

import (
	"context"

	"backupfs/internal/pagecache"
)

// handing is a walk that is being handed over.
type handing struct {
	*listing
	u        *user
	mark     int              // of the window: it is held back
	last     int64            // where the last file begins
	inflated int64            // end of what was inflated ahead
	batch    []pagecache.File // of one member, used again
}

// handOver hands windows to the kernel as long as they are wanted.
func (f *FS) handOver(u *user, l *listing) {
	done := false
	defer func() {
		if !done {
			l.walk.stop()
		}
	}()
	h := &handing{listing: l, u: u, last: l.lastContent()}
	for first := true; ; first = false {
		from, to, mark, ok := l.walk.next(l.files, first)
		if !ok {
			done = true
			if size, ok := l.walk.ended(len(l.files)); ok {
				f.goOn(u, l, size)
			}
			return
		}
		h.mark = mark
		for from < to {
			if from, ok = f.handSome(h, from, to); !ok {
				return
			}
		}
	}
}

// handSome hands over the files from i on, but those of [i,to) that are inflated with the first of them at most. It returns which is next; ok is false
// if the kernel does not take them: they were not listed, or are forgotten, or the mount has ended.
func (f *FS) handSome(h *handing, i, to int) (next int, ok bool) {
	for ; i < to && !h.wants(i); i++ {
	}
	if i == to {
		return to, true
	}
	first, _ := h.tar(i)
	if first >= h.inflated {
		h.inflated = f.inflateAhead(h.u, first, h.last)
	}
	next, ok = i, true
	err := f.members.View(context.Background(), h.u.archive, h.u.known, first, func(data []byte, start int64) error {
		h.batch = h.batch[:0]
		for ; next < to; next++ {
			if !h.wants(next) {
				continue
			}
			tar, _ := h.tar(next)
			off, size := tar-start, h.files[next].size
			if off < 0 || off+size > int64(len(data)) {
				break
			}
			h.batch = append(h.batch, pagecache.File{Node: h.files[next].node, Off: uint32(off), Size: uint32(size)})
		}
		ok = f.ahead.kernel.Store(h.batch, data) == nil
		return nil
	})
	if err != nil {
		return i + 1, true // who asks for the file is told
	}
	if next == i {
		return i + 1, f.handSpread(h, i, first)
	}
	return next, ok
}

// handSpread hands over a file that lies in more than one member.
func (f *FS) handSpread(h *handing, i int, tar int64) (ok bool) {
	data := make([]byte, h.files[i].size)
	if _, err := f.members.ReadAt(context.Background(), h.u.archive, h.u.known, data, tar); err != nil {
		return true // who asks for the file is told
	}
	return f.ahead.kernel.Store([]pagecache.File{{Node: h.files[i].node, Size: uint32(len(data))}}, data) == nil
}

// wants says whether a file is to be handed over.
func (h *handing) wants(i int) bool {
	tar, ok := h.tar(i)
	size := h.files[i].size
	return i != h.mark && ok && tar >= 0 && size > 0 && size <= maxHanded && !h.walk.skip(i)
}
