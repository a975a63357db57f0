package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"backupfs/cyrus"
)

// ErrUnpinned: a message was not asked for, or so many files could not be open at a time.
var ErrUnpinned = errors.New("not pinned")

// Pinned are message files of a mailbox, opened under its locks, which are released: what the server unlinks meanwhile can still
// be read. It is for one goroutine.
type Pinned struct {
	Header *cyrus.Header // of the same moment

	pins  map[uint32]pinnedFile
	asked map[uint32]bool // UIDs; all others are ErrUnpinned
	why   map[uint32]error
}

type pinnedFile struct {
	pin
	f *os.File
}

// Pin opens the files of messages, also of expunged ones as long as they are there: of the first LocalOptions.MaxPins of the
// UIDs, or of fewer if the process may have no more open, but of one at least. ErrBusy, ErrGone as Fetch.
func (l *Local) Pin(ctx context.Context, m Mailbox, uids []uint32) (*Pinned, error) {
	paths, err := l.conf.Paths(m.Mailbox)
	if err != nil {
		return nil, err
	}
	asked := map[uint32]bool{}
	for _, uid := range uids {
		if len(asked) == l.opts.MaxPins && !asked[uid] {
			break
		}
		asked[uid] = true
	}
	f := &fetch{l: l, m: m, paths: paths, handled: map[uint32]bool{}, unreadable: map[uint32]error{}}
	f.want = func(_ *cyrus.Index, r *cyrus.Record) bool { return asked[r.UID] }
	defer f.release() // nothing, once all went well
	for current := false; !current; {
		had := len(f.pins)
		if err := f.look(ctx); err != nil {
			return nil, err
		}
		if current, err = f.pin(ctx); err != nil {
			return nil, err
		}
		if len(f.pins) > had {
			f.outdated = 0
		} else {
			f.outdated++
		}
		for _, p := range f.pins { // a further look need not pin them again
			f.handled[p.record.UID] = true
		}
	}
	p := &Pinned{Header: f.last.snapshot.Header, pins: make(map[uint32]pinnedFile, len(f.pins)), asked: asked, why: f.last.snapshot.Missing}
	for _, i := range f.last.pending {
		delete(asked, f.last.snapshot.Index.Records[i].UID)
	}
	for _, pin := range f.pins {
		p.pins[pin.record.UID] = pinnedFile{pin, os.NewFile(uintptr(pin.fd), pin.path)}
	}
	f.pins = nil
	return p, nil
}

// Message is a pinned message; its Body can be read until Close. fs.ErrNotExist if there is none or its file is gone, ErrUnpinned if it must
// be asked for anew.
func (p *Pinned) Message(uid uint32) (Message, error) {
	file, ok := p.pins[uid]
	switch {
	case ok:
		return file.message(file.f)
	case !p.asked[uid]:
		return Message{}, ErrUnpinned
	case p.why[uid] != nil:
		return Message{}, p.why[uid]
	}
	return Message{}, fmt.Errorf("message %d: %w", uid, fs.ErrNotExist)
}

// Close closes the files.
func (p *Pinned) Close() {
	for _, file := range p.pins {
		_ = file.f.Close() // read only: there is nothing to lose
	}
	p.pins = nil
}
