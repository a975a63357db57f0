package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// slowReader reads pieces of a foreign member that is too large to be held. Its CRC stands behind all of it, so the member is inflated once before
// anything of it is believed, and then each piece must be what it was. It keeps the stream into the member open, so that reading forward costs what
// inflating it costs; reading backward begins anew. Whatever is interrupted, the next goes on from there.
type slowReader struct {
	turn chan struct{} // holds one token while somebody uses what follows
	r    io.Reader
	m    Member
	at   int64 // in the member's tar

	proof slowProof           // the one under way
	known map[int64]slowProof // those that are done, by the member's place in the file
	kept  int                 // sums in there
}

// slowProof is what is known of a member that is inflated to its end.
type slowProof struct {
	m      Member
	r      *foreignReader
	sums   []uint32 // CRC-32 of each MemberSize bytes
	damage error
}

// maxSlowSums bounds what is kept of members: sums of 64 GiB of tar, in 1 MiB.
const maxSlowSums = 1 << 18

// piece returns the nth MemberSize bytes of m, fewer at its end, in the place of b.
func (s *slowReader) piece(ctx context.Context, a *Archive, m Member, n int64, b []byte) (_ []byte, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	proof, err := s.prove(ctx, a, m)
	if err != nil {
		return nil, err
	}
	want := n * MemberSize
	if s.r == nil || s.m != m || s.at > want {
		if s.r, err = a.ReadMember(m); err != nil {
			return nil, err
		}
		s.m, s.at = m, 0
	}
	for s.at < want {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		skipped, err := io.CopyN(io.Discard, s.r, min(want-s.at, MemberSize))
		if s.at += skipped; err != nil {
			return nil, s.failed(a, err)
		}
	}
	b = b[:min(MemberSize, m.TarSize-want)]
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, s.failed(a, err)
	}
	s.at += int64(len(b))
	if crc32.ChecksumIEEE(b) != proof.sums[n] {
		return nil, s.failed(a, a.damaged(m.File, errors.New("member is not what it was a moment ago")))
	}
	return b, nil
}

// prove inflates a member to its end, unless that was done.
func (s *slowReader) prove(ctx context.Context, a *Archive, m Member) (p slowProof, err error) {
	p, ok := s.known[m.File]
	if ok && p.m == m {
		return p, p.damage
	}
	if s.proof.r == nil || s.proof.m != m {
		s.proof = slowProof{m: m}
		if s.proof.r, err = a.foreign(m.File, m.End().File); err != nil && !errors.Is(err, ErrDamaged) {
			return p, err
		}
		s.proof.damage = err
	}
	if s.proof.damage == nil {
		if err = s.proof.read(ctx, a); ctx.Err() != nil {
			return p, ctx.Err()
		}
	}
	p = s.proof
	s.proof = slowProof{}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return p, err
	}
	p.r, p.damage = nil, err
	if s.kept += len(p.sums) + 1; s.kept > maxSlowSums || s.known == nil {
		s.known, s.kept = map[int64]slowProof{}, len(p.sums)+1
	}
	s.known[m.File] = p
	return p, p.damage
}

// read goes on to the member's end. All it needs to be gone on with is what it has read.
func (p *slowProof) read(ctx context.Context, a *Archive) error {
	b := make([]byte, MemberSize)
	for {
		left := p.m.TarSize - int64(len(p.sums))*MemberSize
		if left <= 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(p.r, b[:min(left, MemberSize)])
		if err != nil {
			return shorter(a, p.m, err)
		}
		p.sums = append(p.sums, crc32.ChecksumIEEE(b[:n]))
	}
	_, err := io.ReadFull(p.r, b[:1]) // the inflater looks at the CRC behind the last byte only
	if err == nil || err == io.EOF && p.r.consumed() != p.m.FileSize {
		return a.damaged(p.m.File, errors.New("another member stands here"))
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// failed gives the stream up.
func (s *slowReader) failed(a *Archive, err error) error {
	s.r = nil
	return shorter(a, s.m, err)
}

func shorter(a *Archive, m Member, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return a.damaged(m.File, fmt.Errorf("member ends before %d of its tar", m.TarSize))
	}
	return err
}
