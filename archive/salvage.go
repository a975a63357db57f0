package archive

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// A member that is damaged costs what is wrong in it, and not what shares it: of what still comes out of it, that is believed which has the
// digest that is known of it. Nothing is hashed as long as members are whole.

// Known is what an index knows of an archive.
type Known struct {
	// Member returns the member that holds a tar offset.
	Member func(tar int64) (Member, error)
	// Contents returns those that have bytes in [from, to) of the tar. It is asked for damaged members only; if it is nil, nothing of
	// them is believed.
	Contents func(from, to int64) ([]Content, error)
}

// Content is the bytes of an entry.
type Content struct {
	Tar, Size int64 // where they stand in the tar
	SHA1      [sha1.Size]byte
}

// span is tar that was proven right.
type span struct{ from, to int64 }

// maxBroken is how many damaged members a content may lie in that is believed all the same: each that is read has it hashed as a whole.
const maxBroken = 8

// salvage fills a piece with what is right of a damaged member; the rest of it is zeros.
func (c *Cache) salvage(ctx context.Context, a *Archive, known Known, m Member, p *piece, damage error) error {
	if known.Contents == nil || m.TarSize < 0 || m.TarSize > MaxInflate {
		return damage
	}
	contents, err := known.Contents(m.Tar, m.End().Tar)
	if err != nil {
		return err
	}
	if m.Foreign {
		select {
		case c.salvaging <- struct{}{}:
			defer func() { <-c.salvaging }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	tar, err := a.remains(m, p.data)
	if err != nil {
		return err
	}
	p.damage = damage
	for _, x := range contents {
		s := span{max(x.Tar, m.Tar), min(x.Tar+x.Size, m.End().Tar)}
		if s.to-m.Tar > int64(len(tar)) || s.from >= s.to {
			continue
		}
		right, err := c.proven(ctx, a, known, x, m, tar)
		if err != nil {
			return err
		}
		if right {
			p.good = append(p.good, span{s.from - m.Tar, s.to - m.Tar})
		}
	}
	slices.SortFunc(p.good, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	p.data = tar[:m.TarSize]
	wrong := int64(0)
	for _, s := range p.good {
		if s.from > wrong {
			clear(p.data[wrong:s.from])
		}
		wrong = max(wrong, s.to)
	}
	clear(p.data[wrong:])
	return nil
}

// proven says whether a content has its digest, of which tar, that came out of the damaged member m, has a part. What stands in other members is
// not read through the cache: somebody may hold it who waits for m.
func (c *Cache) proven(ctx context.Context, a *Archive, known Known, x Content, m Member, tar []byte) (bool, error) {
	sum, broken := sha1.New(), 0
	var buf []byte
	for at, end := x.Tar, x.Tar+x.Size; at < end; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		in, data := m, tar
		if at < m.Tar || at >= m.End().Tar {
			o, err := known.Member(at)
			if err == nil && !o.Foreign {
				if buf, err = a.Inflate(o, buf); errors.Is(err, ErrDamaged) && broken < maxBroken {
					broken++
					buf, err = a.remains(o, buf)
				}
			}
			if errors.Is(err, ErrDamaged) || o.Foreign {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			in, data = o, buf
		}
		if at < in.Tar || at-in.Tar >= int64(len(data)) {
			return false, nil
		}
		data = data[at-in.Tar:]
		data = data[:min(int64(len(data)), end-at)]
		sum.Write(data)
		at += int64(len(data))
	}
	return [sha1.Size]byte(sum.Sum(nil)) == x.SHA1, nil
}

// around is the stretch of a piece around an offset in it that is right.
func (p *piece) around(off int64) (span, error) {
	if p.damage == nil {
		return span{0, int64(len(p.data))}, nil
	}
	for _, s := range p.good {
		if s.from <= off && off < s.to {
			return s, nil
		}
	}
	return span{}, p.damage
}

// remains returns what still comes out of a damaged member, of which nothing is vouched for, in the place of dst; it has room for the rest.
func (a *Archive) remains(m Member, dst []byte) ([]byte, error) {
	if int64(cap(dst)) < m.TarSize {
		dst = make([]byte, m.TarSize)
	}
	dst = dst[:m.TarSize]
	if plain, err := a.isPlain(); err != nil || plain {
		return dst[:0], err
	}
	header := int64(MemberHeaderSize)
	if m.Foreign {
		header = anyHeader
	}
	n := 0
	err := a.inflateFrom(m.File, m.End().File, header, func(r io.Reader) {
		n, _ = io.ReadFull(r, dst) // it ends with an error
	})
	return dst[:n], err
}

// anyHeader stands for the length of whichever gzip header there is.
const anyHeader = 0

// inflateFrom hands over what comes out of a member between two file offsets whose header takes so many bytes. Its error is the disk's.
func (a *Archive) inflateFrom(at, limit, header int64, read func(io.Reader)) error {
	if at+header >= limit {
		return nil
	}
	src := countReader{r: io.NewSectionReader(a.r, at+header, limit-at-header)}
	buf := bufio.NewReader(&src)
	if header != anyHeader {
		read(flate.NewReader(buf))
	} else if zr, err := gzip.NewReader(buf); err == nil {
		zr.Multistream(false)
		read(zr)
	}
	if src.err != nil {
		return a.failed(at, src.err)
	}
	return nil
}
