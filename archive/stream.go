package archive

import (
	"errors"
	"fmt"
	"hash"
	"io"
)

// stream reads the tar stream between two positions, member by member. It inflates a member only when a byte of it is read (or
// hashed), into one buffer.
type stream struct {
	a     *Archive
	end   Position
	enter func(Member) // called for each member, in their order
	lost  func(Damage) // if set, rubbish between two members that follow each other is passed over, and told
	hash  hash.Hash    // of all tar bytes but those of markers; nil if not wanted
	cur   Member       // entered
	off   int64        // tar offset of the next byte, in cur or at its end
	next  *Member      // behind cur, if it was looked at
	buf   []byte       // tar bytes of cur, or of next if that is set, if whole is true
	whole bool
	big   io.Reader // of cur, if it is too large for buf
	bigAt int64     // tar offset where big stands
	fault fault     // of the last error
}

// fault is where a damaged member stands, or one whose tar is, and where the next should begin, if that is known.
type fault struct{ at, next Position }

func newStream(a *Archive, from, end Position) *stream {
	return &stream{a: a, end: end, cur: Member{Position: from}, off: from.Tar, enter: func(Member) {}}
}

// atEnd reports whether all of the current member was read or skipped.
func (s *stream) atEnd() bool { return s.off == s.cur.End().Tar }

// peek looks at the member behind the current one, all of which must have been read or skipped. io.EOF if there is none.
func (s *stream) peek() (Member, error) {
	if s.next != nil {
		return *s.next, nil
	}
	pos := s.cur.End()
	s.whole, s.big = false, nil
	sink := collector{buf: s.buf[:0], hash: s.hash}
	m, err := s.a.member(pos, s.end.File, &sink)
	if s.lost != nil && errors.Is(err, ErrDamaged) {
		if c, ok, ferr := s.a.find(s.before(), s.end.File, pos.Tar); ferr != nil {
			return Member{}, ferr
		} else if ok && c.Tar == pos.Tar {
			if c.File < pos.File {
				pos = s.cur.Position
			}
			s.lost(Damage{From: pos, To: c.Position, Err: err})
			m, err = c, nil
		}
	}
	if err != nil {
		s.fault = fault{at: pos}
		return Member{}, err
	}
	if s.buf = sink.buf; m.Foreign && !sink.full {
		s.whole = true
	}
	if s.hash != nil && !m.Foreign && !m.Marker {
		if err := s.inflate(m); err != nil {
			return Member{}, err
		}
		s.hash.Write(s.buf)
	}
	s.next = &m
	return m, nil
}

// before is where to look for what comes behind the current member: of one that lost bytes, the end is not where it says.
func (s *stream) before() int64 {
	if s.cur.FileSize > 0 {
		return s.cur.File + 1
	}
	return s.cur.File
}

// collector keeps what is written to it, up to MaxInflate bytes, and hashes it.
type collector struct {
	buf  []byte
	full bool
	hash hash.Hash
}

func (c *collector) Write(p []byte) (int, error) {
	if c.hash != nil {
		c.hash.Write(p)
	}
	if c.full = c.full || len(c.buf)+len(p) > MaxInflate; !c.full {
		c.buf = append(c.buf, p...)
	}
	return len(p), nil
}

// advance enters the member that peek looked at.
func (s *stream) advance() error {
	m, err := s.peek()
	if err != nil {
		return err
	}
	s.cur, s.next, s.off = m, nil, m.Tar
	s.enter(m)
	return nil
}

// jump makes m the next member, behind damage.
func (s *stream) jump(m Member) {
	s.cur, s.off, s.next, s.whole, s.big = Member{Position: m.Position}, m.Tar, nil, false, nil
}

// into makes the current member one that has bytes left. Inside an entry no marker may come, nor the end.
func (s *stream) into() error {
	for s.atEnd() {
		m, err := s.peek()
		if err == io.EOF || err == nil && m.Marker {
			return s.bad(errors.New("the tar stream ends within an entry"))
		}
		if err != nil {
			return err
		}
		if err := s.advance(); err != nil {
			return err
		}
	}
	return nil
}

// Read reads on, never io.EOF.
func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.into(); err != nil {
		return 0, err
	}
	if left := s.cur.End().Tar - s.off; int64(len(p)) > left {
		p = p[:left]
	}
	if !s.whole && s.cur.TarSize > MaxInflate {
		return s.readBig(p)
	}
	if !s.whole {
		if err := s.inflate(s.cur); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf[s.off-s.cur.Tar:])
	s.off += int64(n)
	return n, nil
}

func (s *stream) inflate(m Member) (err error) {
	if s.buf, err = s.a.Inflate(m, s.buf); err == nil {
		s.whole = true
	}
	s.fault = fault{m.Position, m.End()}
	return err
}

func (s *stream) readBig(p []byte) (int, error) {
	if s.big == nil {
		var err error
		if s.big, err = s.a.ReadMember(s.cur); err != nil {
			return 0, err
		}
		s.bigAt = s.cur.Tar
	}
	if skip := s.off - s.bigAt; skip > 0 {
		n, err := io.CopyN(io.Discard, s.big, skip)
		s.bigAt += n
		if err != nil {
			return 0, s.shorter(err)
		}
	}
	n, err := io.ReadFull(s.big, p)
	s.off += int64(n)
	s.bigAt = s.off
	if err != nil {
		return n, s.shorter(err)
	}
	return n, nil
}

func (s *stream) shorter(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = s.bad(errors.New("member holds fewer bytes than before"))
	}
	return err
}

// bad makes an error of what is wrong with the tar in the current member.
func (s *stream) bad(err error) error {
	s.fault = fault{s.cur.Position, s.cur.End()}
	return s.a.damaged(s.cur.File, fmt.Errorf("%d of the tar: %w", s.off, err))
}

// skip passes over n bytes; members that lie wholly in them are not inflated.
func (s *stream) skip(n int64) error {
	for n > 0 {
		if err := s.into(); err != nil {
			return err
		}
		k := min(n, s.cur.End().Tar-s.off)
		s.off += k
		n -= k
	}
	return nil
}
