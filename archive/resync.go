package archive

import (
	"errors"
	"io"
)

// fail ends the scan with an error, or goes on behind damage if that is wanted.
func (s *Scanner) fail(err error) {
	if !s.opts.Resync || !errors.Is(err, ErrDamaged) {
		s.err = err
		return
	}
	if rerr := s.resync(err); rerr != nil {
		s.err = rerr
	}
}

// resync looks for the next whole member behind damage, tells what was lost, and puts the stream there.
func (s *Scanner) resync(cause error) error {
	m, ok, err := s.behind(s.s.fault)
	if err != nil {
		return err
	}
	body := s.body
	if s.run.foreign {
		s.closeInferred() // what stands behind damage is not known to go on with it
	}
	s.broken, s.left, s.bodyErr, s.body = true, 0, nil, nil
	if !ok {
		s.lost(Damage{From: s.s.fault.at, To: Position{File: s.s.end.File, Tar: -1}, Err: cause})
		return io.EOF
	}
	s.lost(Damage{From: s.s.fault.at, To: m.Position, Err: cause})
	s.align = body == nil || s.entryEnd < m.Tar
	if !s.align {
		s.left = s.entryEnd - m.Tar // only content was lost
	}
	s.s.jump(m)
	return nil
}

// behind finds the member at which reading can go on: the next one, if the damaged one says truly how long it is, else the next
// to be found.
func (s *Scanner) behind(f fault) (Member, bool, error) {
	a, limit, minTar := s.s.a, s.s.end.File, f.at.Tar
	if f.next.File > f.at.File {
		m, err := a.member(f.next, limit, io.Discard)
		if err == nil && !m.Foreign {
			_, err = a.Inflate(m, nil)
		}
		if err == nil {
			return m, true, nil
		}
		if err == io.EOF {
			return Member{}, false, nil
		}
		if !errors.Is(err, ErrDamaged) {
			return Member{}, false, err
		}
		minTar = f.next.Tar
	}
	from := f.at.File
	if f.at == s.s.cur.End() {
		from = s.s.before()
	}
	return a.find(from, limit, minTar)
}

// realign brings the stream, at the start of m, to the first header in it, or behind it if there is none.
func (s *Scanner) realign(m Member) error {
	switch {
	case m.Foreign:
		// It may begin within an entry. Then its first block is hardly a header.
		if m.TarSize < BlockSize {
			s.s.off = m.End().Tar
			return nil
		}
		var block [BlockSize]byte
		if _, err := io.ReadFull(s.s, block[:]); err != nil {
			return err
		}
		if _, err := parseHeader(&block); err != nil {
			return s.s.bad(err)
		}
		s.s.off = m.Tar
	case m.First == NoEntry:
		s.s.off = m.End().Tar
		return nil
	default:
		s.s.off = m.Tar + int64(m.First)
	}
	s.align = false
	return nil
}
