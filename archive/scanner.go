package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// ScanOptions choose what a Scanner does besides.
type ScanOptions struct {
	Digest     bool      // compute the chain of digests, and compare each marker's
	Resync     bool      // behind damage, go on at the next member that is whole; Event.Damage tells what was lost
	FirstRun   int       // number of the first run delivered (1 for the start of an archive)
	PrevDigest string    // digest of the marker before from, for Digest
	PrevBegun  time.Time // Begun of the run before
}

// EventKind says what a Scanner came upon.
type EventKind int

const (
	EventMember EventKind = iota + 1 // Member, delivered before the entries that begin in it
	EventEntry                       // Entry, Body. Markers are no entries
	EventRun                         // Run: all entries since the last EventRun are of this run
	EventDamage                      // Damage (Resync only)
)

// Event is one thing that a Scanner came upon. Body is valid until the next call of Next; what is left of it is skipped
// without inflating members that lie wholly within it.
type Event struct {
	Kind   EventKind
	Member Member
	Entry  Entry
	Body   io.Reader
	Run    Run
	Damage Damage
}

// Damage is a stretch of the archive that cannot be read.
type Damage struct {
	From, To Position // To.Tar is -1 where the archive cannot be read again behind it
	Err      error
}

// Scanner delivers the members, entries and runs of an archive in their order. Its memory does not grow with them, but for
// the Members that one body spans.
type Scanner struct {
	s     *stream
	opts  ScanOptions
	queue []Member // entered, not delivered
	ready []Event  // to be delivered behind them
	err   error    // to be returned behind those

	body     *body // of the last entry; nil if there was none since the start or a damage
	bodyErr  error // of a read of the body, which Next acts upon
	left     int64 // of its content and padding
	entryEnd int64 // tar offset of its end
	align    bool  // behind damage: no header is known to stand at the stream's place
	broken   bool  // damage came since the last marker: the chain of digests cannot hold

	run      runState
	number   int       // of the last run
	begun    time.Time // of the last run
	digest   []byte    // of the last marker
	runStart int64     // tar offset of the current run's first byte
}

// runState is what is known of the run that has no end yet.
type runState struct {
	open    bool // a member came
	foreign bool // one of another tool
	entries int  // that begin in the current member
	inferred
}

// Scan reads forward from the start of a run to the position end, which must be the end of a complete run.
func (a *Archive) Scan(from, end Position, opts ScanOptions) *Scanner {
	s := &Scanner{
		s: newStream(a, from, end), opts: opts,
		number: max(opts.FirstRun, 1) - 1, begun: opts.PrevBegun, runStart: from.Tar,
	}
	s.s.enter = s.enter
	if opts.Resync {
		s.s.lost = s.lost
	}
	if opts.Digest {
		s.digest = make([]byte, sha256.Size)
		if opts.PrevDigest != "" {
			if s.digest, s.err = parseDigest(opts.PrevDigest); s.err != nil {
				s.err = fmt.Errorf("%s: digest of the run before: %w", a.name, s.err)
			}
		}
		s.s.hash = sha256.New()
		s.s.hash.Write(s.digest)
	}
	return s
}

// Next returns the next event, io.EOF behind the last.
func (s *Scanner) Next() (Event, error) {
	for {
		if len(s.queue) > 0 {
			e := Event{Kind: EventMember, Member: s.queue[0]}
			s.queue = s.queue[1:]
			return e, nil
		}
		if len(s.ready) > 0 {
			e := s.ready[0]
			s.ready = s.ready[1:]
			return e, nil
		}
		if s.err != nil {
			return Event{}, s.err
		}
		if err := s.step(); err != nil {
			s.fail(err)
		}
	}
}

func (s *Scanner) enter(m Member) {
	s.queue = append(s.queue, m)
	s.run.open = s.run.open || !m.Marker
	s.run.foreign = s.run.foreign || m.Foreign
	s.run.entries = 0
}

func (s *Scanner) lost(d Damage) {
	s.ready = append(s.ready, Event{Kind: EventDamage, Damage: d})
}

// step brings the stream one header or one member on.
func (s *Scanner) step() error {
	if err := s.bodyErr; err != nil {
		s.bodyErr = nil
		return err
	}
	switch {
	case s.left > 0:
		n := s.left
		s.left = 0
		return s.s.skip(n)
	case s.s.atEnd():
		return s.boundary()
	default:
		return s.header()
	}
}

// boundary looks at the next member, between two entries, and ends the run if that is due.
func (s *Scanner) boundary() error {
	m, err := s.s.peek()
	if err == io.EOF {
		if s.run.foreign {
			s.closeInferred()
		} else if s.run.open && !s.broken {
			return s.s.bad(errors.New("the last run has no marker"))
		}
		s.err = io.EOF
		return nil
	}
	if err != nil {
		return err
	}
	ends, err := s.endsInferred(m)
	if err != nil {
		return err
	}
	if ends {
		s.closeInferred()
		return nil
	}
	if m.Marker {
		return s.marker(m)
	}
	if err := s.s.advance(); err != nil {
		return err
	}
	if s.align {
		return s.realign(m)
	}
	return nil
}

// endsInferred reports whether a run of another tool ends before m.
func (s *Scanner) endsInferred(m Member) (bool, error) {
	if !s.run.foreign || !m.Foreign {
		return s.run.foreign, nil
	}
	if plain, err := s.s.a.isPlain(); err != nil || plain {
		return err == nil && s.s.a.plainRunBegins(m.Tar), err
	}
	return s.s.cur.Foreign && !splitsRun(s.run.entries), nil
}

func (s *Scanner) closeInferred() {
	s.number++
	s.begun = s.run.begun(s.s.a.name, s.begun)
	r := Run{Inferred: true, Start: s.runStart, End: s.s.cur.End()}
	r.Run, r.Begun, r.Ended, r.Offset = s.number, s.begun, s.begun, r.End.Tar
	s.finish(r)
}

// marker reads the marker in the next member, and ends the run of ours.
func (s *Scanner) marker(m Member) error {
	mark, err := s.s.a.marker(m)
	if err != nil {
		s.s.fault = fault{m.Position, m.End()}
		return err
	}
	sum := ""
	if s.s.hash != nil {
		sum = hex.EncodeToString(s.s.hash.Sum(nil))
	}
	if err := s.s.advance(); err != nil {
		return err
	}
	s.s.off = m.End().Tar
	s.align = false
	if s.opts.Digest && !s.broken {
		switch {
		case mark.Digest != sum:
			err = fmt.Errorf("run %d: digest is %s and should be %s", mark.Run, sum, mark.Digest)
		case mark.Run <= s.number:
			err = fmt.Errorf("a run behind run %d says that it is run %d", s.number, mark.Run)
		case mark.Begun.Before(s.begun):
			err = fmt.Errorf("run %d begins before the run before it", mark.Run)
		}
		if err = s.wrong(m, err); err != nil {
			return err
		}
	}
	// A reader that only wants to read takes what it can: numbers and times that rise.
	s.number = max(mark.Run, s.number+1)
	if mark.Begun.Before(s.begun) {
		mark.Begun = s.begun
	}
	mark.Run, s.begun = s.number, mark.Begun
	if s.s.hash != nil {
		s.digest, _ = mark.digest() // parseMarker has seen it
		s.s.hash.Reset()
		s.s.hash.Write(s.digest)
	}
	s.finish(Run{Marker: mark, Start: s.runStart, End: m.End()})
	return nil
}

// wrong reports what a run's marker disproves: all of the run may be damaged, though each member is whole.
func (s *Scanner) wrong(m Member, err error) error {
	if err == nil {
		return nil
	}
	err = s.s.a.damaged(m.File, err)
	if s.opts.Resync {
		s.lost(Damage{From: m.Position, To: m.End(), Err: err})
		return nil
	}
	return err
}

func (s *Scanner) finish(r Run) {
	s.ready = append(s.ready, Event{Kind: EventRun, Run: r})
	s.run, s.broken = runState{}, false
	s.runStart = r.End.Tar
	s.body = nil
}

// header reads the next entry's headers.
func (s *Scanner) header() error {
	var block [BlockSize]byte
	e := Entry{Offset: s.s.off}
	name, link := "", ""
	for {
		if _, err := io.ReadFull(s.s, block[:]); err != nil {
			return err
		}
		if block == ([BlockSize]byte{}) {
			if e.Offset != s.s.off-BlockSize {
				return s.s.bad(errors.New("a long name has no entry"))
			}
			return nil
		}
		h, err := parseHeader(&block)
		if err != nil {
			return s.s.bad(err)
		}
		switch h.Type {
		case typeLongName:
			name, err = s.long(h)
		case typeLongLink:
			link, err = s.long(h)
		default:
			h.Offset, h.Data = e.Offset, s.s.off
			if name != "" {
				h.Name = name
			}
			if link != "" {
				h.Linkname = link
			}
			return s.entry(h)
		}
		if err != nil {
			return err
		}
	}
}

// long reads the content of an L or K entry.
func (s *Scanner) long(h Entry) (string, error) {
	if h.Size > MaxName+1 {
		return "", s.s.bad(errLongName)
	}
	b := make([]byte, padded(h.Size))
	if _, err := io.ReadFull(s.s, b); err != nil {
		return "", err
	}
	name, _, _ := bytes.Cut(b[:h.Size], []byte{0})
	return string(name), nil
}

// entry delivers an entry, unless it is a marker that another tool moved, and meant nothing to.
func (s *Scanner) entry(e Entry) error {
	s.run.entries++
	s.run.add(e)
	s.left = contentSize(e)
	if s.left > s.s.end.Tar-s.s.off {
		s.left = 0
		return s.s.bad(fmt.Errorf("%q has %d bytes, and the archive ends before", e.Name, e.Size))
	}
	s.entryEnd = s.s.off + s.left
	s.body = &body{s: s, left: e.Size}
	if e.Name != MarkerName {
		s.ready = append(s.ready, Event{Kind: EventEntry, Entry: e, Body: s.body})
	}
	return nil
}

// body reads an entry's content.
type body struct {
	s    *Scanner
	left int64
}

var errStaleBody = errors.New("an entry's content is read after the next entry was asked for")

func (b *body) Read(p []byte) (int, error) {
	s := b.s
	if b.left == 0 {
		return 0, io.EOF
	}
	if s.body != b || s.left == 0 {
		return 0, errStaleBody
	}
	if s.bodyErr != nil {
		return 0, s.bodyErr
	}
	n, err := s.s.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	s.left -= int64(n)
	s.bodyErr = err
	return n, err
}
