package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"sync"

	"backupfs/internal/deflate"
)

// Members hops from member to member, from a position where one begins. Members of ours cost one read of 48
// bytes each; foreign ones are inflated to find their end. A torn or damaged member ends it with an error.
// A plain tar, which has no members, yields stretches of itself.
func (a *Archive) Members(from Position) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		size, err := a.size()
		if err != nil {
			yield(Member{}, err)
			return
		}
		for pos := from; ; {
			m, err := a.member(pos, size, io.Discard)
			if err == io.EOF || !yield(m, err) || err != nil {
				return
			}
			pos = m.End()
		}
	}
}

// member reads the header of the member at pos, io.EOF if that is limit, and checks that it belongs there and ends before
// limit. The tar bytes of a foreign member, which must be inflated for its end, go to w. What w returns as an error is
// returned as it is.
func (a *Archive) member(pos Position, limit int64, w io.Writer) (Member, error) {
	if pos.File == limit {
		return Member{}, io.EOF
	}
	if pos.File < 0 || pos.File > limit {
		return Member{}, a.damaged(pos.File, fmt.Errorf("the archive ends at %d", limit))
	}
	if plain, err := a.isPlain(); err != nil {
		return Member{}, err
	} else if plain {
		return a.stretch(pos, limit, w)
	}
	m, err := a.header(pos.File, limit)
	if errors.Is(err, errForeign) {
		return a.foreignMember(pos, limit, w)
	}
	if err != nil {
		return Member{}, err
	}
	switch {
	case m.Tar != pos.Tar:
		err = fmt.Errorf("member says it stands at %d of the tar and should stand at %d", m.Tar, pos.Tar)
	case !a.ours(m):
		err = strange(m)
	case m.FileSize > limit-pos.File:
		err = fmt.Errorf("member takes %d bytes, %d are left", m.FileSize, limit-pos.File)
	default:
		return m, nil
	}
	return Member{}, a.damaged(pos.File, err)
}

// header reads the header of a member of ours, wherever it says that it belongs; errForeign if it is of another tool.
func (a *Archive) header(at, limit int64) (Member, error) {
	var buf [MemberHeaderSize]byte
	b := buf[:min(MemberHeaderSize, limit-at)]
	if err := a.readAt(b, at); err != nil {
		return Member{}, err
	}
	m, err := parseMemberHeader(b)
	if errors.Is(err, errForeign) {
		return Member{}, err
	}
	if err != nil {
		return Member{}, a.damaged(at, err)
	}
	m.File = at
	return m, nil
}

// Inflate returns the tar bytes of a member (in the place of dst), its CRC and sizes checked. For members of at most
// MaxInflate bytes; larger foreign ones are read by ReadMember.
func (a *Archive) Inflate(m Member, dst []byte) ([]byte, error) {
	most := int64(MemberSize)
	if m.Foreign {
		most = MaxInflate
	}
	if m.TarSize < 0 || m.TarSize > most || m.File < 0 || m.FileSize < 0 {
		return nil, a.damaged(m.File, fmt.Errorf("member of %d bytes, %d in the file, cannot be inflated into memory", m.TarSize, m.FileSize))
	}
	if int64(cap(dst)) < m.TarSize {
		dst = make([]byte, m.TarSize)
	}
	dst = dst[:m.TarSize]
	if m.Foreign {
		return dst, a.inflateForeign(m, dst)
	}
	return dst, a.inflateOwn(m, dst)
}

var fileBuffers = sync.Pool{New: func() any { return new([]byte) }}

func (a *Archive) inflateOwn(m Member, dst []byte) error {
	if m.FileSize <= MemberHeaderSize+memberTrailerSize || m.FileSize > maxMemberFile {
		return a.damaged(m.File, fmt.Errorf("member takes %d bytes", m.FileSize))
	}
	buf := fileBuffers.Get().(*[]byte)
	defer fileBuffers.Put(buf)
	if int64(cap(*buf)) < m.FileSize {
		*buf = make([]byte, m.FileSize)
	}
	b := (*buf)[:m.FileSize]
	if err := a.readAt(b, m.File); err != nil {
		return err
	}
	h, err := inflateOwn(m, dst, b)
	if err != nil {
		return a.damaged(m.File, err)
	}
	if err := a.learnID(m.End().File); err != nil {
		return err
	}
	if !a.ours(h) {
		return a.damaged(m.File, strange(h))
	}
	return nil
}

func strange(m Member) error { return fmt.Errorf("member has id %08x of another archive", m.ID) }

// inflateOwn inflates the bytes of a member of ours into dst, and checks all that can be checked without knowing the archive. It
// returns the member's header.
func inflateOwn(m Member, dst, b []byte) (h Member, err error) {
	if h, err = parseMemberHeader(b); err != nil {
		return h, err
	}
	if h.Tar != m.Tar || h.FileSize != m.FileSize || h.TarSize != m.TarSize {
		return h, fmt.Errorf("another member stands here: of %d bytes, %d of tar, at %d", h.FileSize, h.TarSize, h.Tar)
	}
	body, trailer := b[MemberHeaderSize:len(b)-memberTrailerSize], b[len(b)-memberTrailerSize:]
	n, consumed, err := deflate.Inflate(dst, body)
	switch {
	case err != nil:
		return h, err
	case n != len(dst) || consumed != len(body):
		return h, fmt.Errorf("member inflates to %d bytes from %d, and says %d from %d", n, consumed, len(dst), len(body))
	case binary.LittleEndian.Uint32(trailer) != crc32.ChecksumIEEE(dst):
		return h, errors.New("member's CRC is wrong")
	case binary.LittleEndian.Uint32(trailer[4:]) != uint32(len(dst)):
		return h, errors.New("member's size in its trailer is wrong")
	}
	return h, nil
}

// ReadMember reads the tar bytes of a member of any size. The reader fails behind them if the CRC is wrong.
func (a *Archive) ReadMember(m Member) (io.Reader, error) {
	if !m.Foreign {
		b, err := a.Inflate(m, nil)
		if err != nil {
			return nil, err
		}
		return bytes.NewReader(b), nil
	}
	return a.openForeign(m)
}
