package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The gzip header of our members: offsets of the fields of its extra field, see docs/format.md.
const (
	fieldVersion  = 16
	fieldFlags    = 17
	fieldReserved = 18
	fieldID       = 20
	fieldSize     = 24
	fieldTarSize  = 28
	fieldTar      = 32
	fieldFirst    = 40
	fieldCRC      = 44

	flagMarker = 1
)

// memberMagic begins every member of ours: FLG is FEXTRA, MTIME and XFL are 0, OS is unknown, XLEN is 36, the subfield BF has
// 32 bytes. A search looks for its first four bytes.
const memberMagic = "\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x24\x00BF\x20\x00"

// gzipMagic begins every gzip member.
const gzipMagic = "\x1f\x8b\x08"

// errForeign: a gzip header without our field.
var errForeign = errors.New("gzip member of another tool")

// appendMemberHeader appends the header of m, whose File is not part of it.
func appendMemberHeader(dst []byte, m Member) []byte {
	at := len(dst)
	dst = append(dst, memberMagic...)
	var flags byte
	if m.Marker {
		flags = flagMarker
	}
	dst = append(dst, Version, flags, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, m.ID)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.FileSize))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.TarSize))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Tar))
	dst = binary.LittleEndian.AppendUint32(dst, m.First)
	return binary.LittleEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[at+fieldVersion:at+fieldCRC]))
}

// parseMemberHeader reads a member's header from the bytes at its start, of which there are fewer than MemberHeaderSize
// only at the end of a file. errForeign if it is gzip, but not of ours; ErrVersion if it is of ours to come.
func parseMemberHeader(b []byte) (Member, error) {
	if len(b) < len(gzipMagic) || string(b[:len(gzipMagic)]) != gzipMagic {
		return Member{}, errors.New("no gzip header")
	}
	// A gzip with FEXTRA of our length is taken for ours, so that a bit flipped in the rest does not make it foreign.
	if len(b) < 12 || b[3] != memberMagic[3] || string(b[10:12]) != memberMagic[10:12] {
		if len(b) >= 12 && b[3] == memberMagic[3] && !subfields(b[12:], int(binary.LittleEndian.Uint16(b[10:]))) {
			return Member{}, errors.New("gzip header's extra field is not whole") // one of ours of which bytes were lost
		}
		return Member{}, errForeign
	}
	if len(b) < MemberHeaderSize {
		return Member{}, errors.New("member's header is cut off")
	}
	if string(b[:len(memberMagic)]) != memberMagic {
		return Member{}, errors.New("member's header is not as it must be")
	}
	if binary.LittleEndian.Uint32(b[fieldCRC:]) != crc32.ChecksumIEEE(b[fieldVersion:fieldCRC]) {
		return Member{}, errors.New("member's header has a wrong CRC")
	}
	if b[fieldVersion] != Version {
		return Member{}, fmt.Errorf("%w: %d", ErrVersion, b[fieldVersion])
	}
	m := Member{
		Position: Position{Tar: int64(binary.LittleEndian.Uint64(b[fieldTar:]))},
		FileSize: int64(binary.LittleEndian.Uint32(b[fieldSize:])),
		TarSize:  int64(binary.LittleEndian.Uint32(b[fieldTarSize:])),
		First:    binary.LittleEndian.Uint32(b[fieldFirst:]),
		ID:       binary.LittleEndian.Uint32(b[fieldID:]),
		Marker:   b[fieldFlags] == flagMarker,
	}
	return m, m.validate(b[fieldFlags]&^flagMarker, binary.LittleEndian.Uint16(b[fieldReserved:]))
}

// subfields reports whether the size bytes of an extra field are whole subfields (RFC 1952, 2.3.1.1), as far as b has them.
func subfields(b []byte, size int) bool {
	for size > 0 {
		if size < 4 {
			return false
		}
		if len(b) < 4 {
			return true
		}
		n := 4 + int(binary.LittleEndian.Uint16(b[2:]))
		size -= n
		b = b[min(n, len(b)):]
	}
	return size == 0
}

// validate checks that the fields agree, so that nothing is allocated for sizes that cannot be.
func (m Member) validate(flags byte, reserved uint16) error {
	switch {
	case flags != 0 || reserved != 0:
		return errors.New("member's header has unknown flags")
	case m.Tar < 0 || m.Tar > m.Tar+m.TarSize:
		return errors.New("member's tar offset is too large")
	case m.TarSize < 1 || m.TarSize > MemberSize:
		return fmt.Errorf("member holds %d bytes of tar", m.TarSize)
	case m.FileSize <= MemberHeaderSize+memberTrailerSize || m.FileSize > maxMemberFile:
		return fmt.Errorf("member takes %d bytes", m.FileSize)
	case m.First != NoEntry && int64(m.First) >= m.TarSize, m.Marker && m.First != 0:
		return fmt.Errorf("member's first entry is at %d of %d", m.First, m.TarSize)
	}
	return nil
}
