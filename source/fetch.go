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

// Fetch looks at the mailbox in rounds: each pins at most MaxPins of the messages that are still wanted and delivers them
// when the locks are released. The last round is the one that could pin all: its index is returned.
//
// When a message's bytes cannot be read (an error of Body.ReadAt other than io.EOF), and deliver returns an error that wraps
// this one, the message is noted in Missing and the others go on.
func (l *Local) Fetch(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool, deliver func(Message) error) (*Snapshot, error) {
	r := rounds{handled: map[uint32]bool{}, unreadable: map[uint32]error{}}
	for {
		lk, err := l.lookTwice(ctx, m, func(ix *cyrus.Index, rec *cyrus.Record) bool { return !r.handled[rec.UID] && want(ix, rec) })
		if err != nil {
			return nil, err
		}
		if r.last != nil && r.last.Index.UIDValidity != lk.snapshot.Index.UIDValidity {
			clear(r.handled) // renumbered meanwhile: other messages
			clear(r.unreadable)
			r.last = nil
			lk.release()
			continue
		}
		r.last = &lk.snapshot
		if err := r.deliver(ctx, lk, deliver); err != nil {
			return nil, err
		}
		if !lk.more {
			return r.end(), nil
		}
	}
}

// rounds is what the rounds of one Fetch know of each other.
type rounds struct {
	last       *Snapshot
	handled    map[uint32]bool  // UIDs that were delivered, or could not be read
	unreadable map[uint32]error // of these, those that could not be read
}

// deliver hands on what a look has pinned. No lock is held.
func (r *rounds) deliver(ctx context.Context, lk *look, deliver func(Message) error) error {
	defer lk.release()
	for len(lk.pins) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := lk.pins[0]
		lk.pins = lk.pins[1:]
		r.handled[p.record.UID] = true
		readErr, err := p.deliver(deliver)
		if readErr != nil && (err == nil || errors.Is(err, readErr)) {
			r.unreadable[p.record.UID] = readErr
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end completes the last look's snapshot with what could not be read before.
func (r *rounds) end() *Snapshot {
	s := r.last
	for i := range s.Index.Records {
		if uid := s.Index.Records[i].UID; r.unreadable[uid] != nil {
			s.Missing[uid] = r.unreadable[uid]
		}
	}
	return s
}

// pin is an open message file.
type pin struct {
	record cyrus.Record
	path   string
	fd     int
}

// deliver hands the message on and closes the file. readErr is the error of reading it, if there was one, err the one of deliver.
func (p pin) deliver(deliver func(Message) error) (readErr, err error) {
	f := os.NewFile(uintptr(p.fd), p.path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(p.fd, &st); err != nil {
		return fmt.Errorf("%s: stat: %w", p.path, err), nil
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s: not a regular file: %w", p.path, fs.ErrInvalid), nil
	}
	b := &body{f: f}
	err = deliver(Message{Record: p.record, Size: st.Size, Mtime: int64(st.Mtim.Sec), Inode: st.Ino, Body: b})
	if first := b.err.Load(); first != nil {
		readErr = *first
	}
	return readErr, err
}

// body remembers the first error of reading.
type body struct {
	f   *os.File
	err atomic.Pointer[error]
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		b.err.CompareAndSwap(nil, &err)
	}
	return n, err
}
