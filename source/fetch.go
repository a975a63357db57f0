package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
)

// Fetch looks at the mailbox, and pins and delivers what is wanted in rounds of MaxPins at most. When the index changed between
// two rounds it looks again, and asks again what of the rest is wanted. The last look is the one of which all could be pinned:
// its index is returned.
//
// When a message's bytes cannot be read (an error of Body.ReadAt other than io.EOF), and deliver returns an error that wraps
// this one, the message is noted in Missing and the others go on.
func (l *Local) Fetch(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool, deliver func(Message) error) (*Snapshot, error) {
	paths, err := l.conf.Paths(m.Mailbox)
	if err != nil {
		return nil, err
	}
	f := &fetch{l: l, m: m, paths: paths, want: want, handled: map[uint32]bool{}, unreadable: map[uint32]error{}}
	defer f.release()
	if l.unlocked {
		f.outdated = maxOutdated
	}
	for current := false; ; {
		if !current {
			// Under no lock of the mailbox: the METADATA of all may have to be read. A change until the look changes the next fingerprint.
			all, unknown := l.Metadata(ctx)
			if err := f.look(ctx); err != nil {
				return nil, err
			}
			f.last.snapshot.add(metadataOf(all, unknown, m.Mailbox))
		}
		held := len(f.pins) > 0
		if current, err = f.pin(ctx); err != nil {
			return nil, err
		}
		switch {
		case len(f.pins) == 0 && !current:
			f.outdated++
		case !held:
			f.outdated = 0
		}
		if err := f.deliver(ctx, deliver); err != nil {
			return nil, err
		}
		if current && len(f.last.pending) == 0 {
			return f.end(), nil
		}
	}
}

// fetch is one Fetch.
type fetch struct {
	l     *Local
	m     Mailbox
	paths cyrus.Paths
	want  func(*cyrus.Index, *cyrus.Record) bool

	buf        []byte // of the index
	last       *look
	pins       []pin            // in the order of the index
	outdated   int              // looks in a row of which nothing could be pinned
	otherID    string           // the UniqueID in the header, if the server's list has another one nevertheless
	validity   uint32           // UIDVALIDITY that the two below are of
	handled    map[uint32]bool  // UIDs that were delivered, or could not be read
	unreadable map[uint32]error // of these, those that could not be read
}

// reserve makes room for the index, so that it need not be done under the locks.
func (f *fetch) reserve() {
	const growth = 64 << 10 // meanwhile
	if st, err := os.Stat(f.paths.Index); err == nil && int64(cap(f.buf)) < st.Size() {
		f.buf = make([]byte, st.Size()+growth)
		for i := 0; i < len(f.buf); i += os.Getpagesize() {
			f.buf[i] = 0 // the kernel gives each page when it is touched first
		}
	}
}

// decide finds out what is wanted of a look.
func (f *fetch) decide(lk *look) {
	ix := lk.snapshot.Index
	if f.validity != ix.UIDValidity { // renumbered meanwhile: other messages
		f.validity = ix.UIDValidity
		f.release()
		clear(f.handled)
		clear(f.unreadable)
	}
	for i := range ix.Records {
		if rec := &ix.Records[i]; !rec.Unlinked() && !f.handled[rec.UID] && f.want(ix, rec) {
			lk.pending = append(lk.pending, i)
		}
	}
}

// deliver hands on what is pinned. No lock is held.
func (f *fetch) deliver(ctx context.Context, deliver func(Message) error) error {
	for len(f.pins) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := f.pins[0]
		f.pins = f.pins[1:]
		f.handled[p.record.UID] = true
		unread, err := p.deliver(deliver)
		if err != nil {
			return err
		}
		if unread != nil {
			f.unreadable[p.record.UID] = unread
		}
	}
	f.pins = nil
	return nil
}

// release closes what is pinned.
func (f *fetch) release() {
	for _, p := range f.pins {
		_ = unix.Close(p.fd)
	}
	f.pins = nil
}

// end completes the last look's snapshot with what could not be read before.
func (f *fetch) end() *Snapshot {
	s := &f.last.snapshot
	for i := range s.Index.Records {
		if uid := s.Index.Records[i].UID; f.unreadable[uid] != nil {
			s.Missing[uid] = f.unreadable[uid]
		}
	}
	return s
}

// pin is an open message file.
type pin struct {
	record cyrus.Record
	path   string
	fd     int
	drive  *drive
}

// message is the message in f, which is the pinned file.
func (p pin) message(f *os.File) (Message, error) {
	var st unix.Stat_t
	if err := unix.Fstat(p.fd, &st); err != nil {
		return Message{}, fmt.Errorf("%s: stat: %w", p.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Message{}, fmt.Errorf("%s: not a regular file: %w", p.path, fs.ErrInvalid)
	}
	return Message{Record: p.record, Size: st.Size, Mtime: int64(st.Mtim.Sec), Inode: st.Ino, Body: p.drive.read(f)}, nil
}

// deliver hands the message on, as Deliver does, and closes the file.
func (p pin) deliver(deliver func(Message) error) (unread, err error) {
	f := os.NewFile(uintptr(p.fd), p.path)
	defer f.Close()
	m, err := p.message(f)
	if err != nil {
		return err, nil
	}
	return Deliver(m, deliver)
}

// Deliver hands a message on. unread is why its bytes could not be read, if that was so and deliver returned no other error: then it is
// to be noted as missing, and the others go on. Else err is what deliver returned.
func Deliver(m Message, deliver func(Message) error) (unread, err error) {
	b := &body{r: m.Body}
	m.Body = b
	err = deliver(m)
	if first := b.err.Load(); first != nil && (err == nil || errors.Is(err, *first)) {
		return *first, nil
	}
	return nil, err
}

// body remembers the first error of reading.
type body struct {
	r   io.ReaderAt
	err atomic.Pointer[error]
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		b.err.CompareAndSwap(nil, &err)
	}
	return n, err
}
