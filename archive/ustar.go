package archive

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// The fields of a ustar header: where each ends, in their order.
const (
	ustarName     = 100
	ustarMode     = ustarName + 8
	ustarUID      = ustarMode + 8
	ustarGID      = ustarUID + 8
	ustarSize     = ustarGID + 12
	ustarMtime    = ustarSize + 12
	ustarChecksum = ustarMtime + 8
	ustarType     = ustarChecksum + 1
	ustarLink     = ustarType + 100
	ustarMagic    = ustarLink + 6
	ustarVersion  = ustarMagic + 2
	ustarOwners   = ustarVersion + 64
	ustarMajor    = ustarOwners + 8
	ustarMinor    = ustarMajor + 8
	ustarPrefix   = ustarMinor + 155
)

const (
	typeLongName = 'L'
	typeLongLink = 'K'
	longName     = "././@LongLink"

	maxMtime = 1<<33 - 1 // eleven octal digits
	maxInode = 1<<24 - 1 // eight octal digits
)

// padded rounds n up to whole blocks.
func padded(n int64) int64 { return (n + BlockSize - 1) &^ (BlockSize - 1) }

// contentSize is what an entry's content takes in the tar stream, padded; of a size that cannot be it is too much to be there.
func contentSize(e Entry) int64 { return padded(min(e.Size, math.MaxInt64-BlockSize)) }

// appendHeaders appends what stands before the content of e: an L and a K entry where its names are too long for a
// header, and its own header.
func appendHeaders(dst []byte, e Entry) []byte {
	if len(e.Name) > 100 {
		dst = appendLong(dst, typeLongName, e.Name)
	}
	if len(e.Linkname) > 100 {
		dst = appendLong(dst, typeLongLink, e.Linkname)
	}
	return appendHeader(dst, e)
}

func headersSize(e Entry) int64 {
	n := int64(BlockSize)
	for _, s := range []string{e.Name, e.Linkname} {
		if len(s) > 100 {
			n += BlockSize + padded(int64(len(s))+1)
		}
	}
	return n
}

func appendLong(dst []byte, typ byte, s string) []byte {
	dst = appendHeader(dst, Entry{Name: longName, Type: typ, Size: int64(len(s)) + 1})
	dst = append(dst, s...)
	return append(dst, make([]byte, padded(int64(len(s))+1)-int64(len(s)))...)
}

func appendHeader(dst []byte, e Entry) []byte {
	var h [BlockSize]byte
	copy(h[:ustarName], e.Name)
	copy(h[ustarName:], "0000777\x00")
	copy(h[ustarMode:], "0000000\x00")
	copy(h[ustarUID:], "0000000\x00")
	copy(h[ustarGID:], fmt.Appendf(nil, "%011o\x00", e.Size))
	copy(h[ustarSize:], fmt.Appendf(nil, "%011o\x00", min(max(e.Mtime, 0), maxMtime)))
	h[ustarChecksum] = e.Type
	copy(h[ustarType:ustarLink], e.Linkname)
	copy(h[ustarLink:], "ustar\x0000")
	copy(h[ustarOwners:], "0000000\x00")
	inode := e.Inode
	if inode > maxInode {
		inode = 0
	}
	copy(h[ustarMajor:ustarMinor], fmt.Appendf(nil, "%07o\x00", inode)) // an eighth digit takes the NUL's place
	unsigned, _ := checksums(&h)
	copy(h[ustarMtime:], fmt.Appendf(nil, "%06o\x00 ", unsigned))
	return append(dst, h[:]...)
}

// checksums sums up the header's bytes, its checksum taken as spaces, as unsigned and (some old tars) signed ones.
func checksums(h *[BlockSize]byte) (unsigned, signed int64) {
	for i, b := range h {
		if i >= ustarMtime && i < ustarChecksum {
			b = ' '
		}
		unsigned += int64(b)
		signed += int64(int8(b))
	}
	return unsigned, signed
}

// parseHeader reads one header, an L or K one too, whoever wrote it. Entry.Offset and Data are left zero.
func parseHeader(h *[BlockSize]byte) (Entry, error) {
	sum, err := parseNumber(h[ustarMtime:ustarChecksum])
	if err != nil {
		return Entry{}, fmt.Errorf("checksum: %w", err)
	}
	if unsigned, signed := checksums(h); sum != unsigned && sum != signed {
		return Entry{}, fmt.Errorf("tar header's checksum is %o and should be %o", sum, unsigned)
	}
	e := Entry{
		Name:     cString(h[:ustarName]),
		Linkname: cString(h[ustarType:ustarLink]),
		Type:     h[ustarChecksum],
	}
	if string(h[ustarLink:ustarMagic]) == "ustar\x00" {
		if prefix := cString(h[ustarMinor:ustarPrefix]); prefix != "" {
			e.Name = prefix + "/" + e.Name
		}
	}
	if e.Size, err = parseNumber(h[ustarGID:ustarSize]); err != nil {
		return Entry{}, fmt.Errorf("size of %q: %w", e.Name, err)
	}
	switch e.Type {
	case 0: // of a tar before POSIX
		e.Type = TypeFile
	case '1', TypeLink, '3', '4', '5', '6': // links, devices, folders: no content follows, whatever the size says
		e.Size = 0
	}
	// These two say nothing that a reader must have: what cannot be read is 0.
	e.Mtime, _ = parseNumber(h[ustarSize:ustarMtime])
	inode, _ := parseNumber(h[ustarMajor:ustarMinor])
	e.Mtime = min(e.Mtime, maxMtime)
	e.Inode = uint64(inode)
	return e, nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// parseNumber reads an octal number, or one in base 256 as GNU tar writes it where octal digits do not do. It is never
// negative.
func parseNumber(b []byte) (int64, error) {
	if b[0]&0x80 != 0 {
		if b[0]&0x40 != 0 {
			return 0, errors.New("number is negative")
		}
		n := int64(b[0] & 0x3f)
		for _, c := range b[1:] {
			if n > math.MaxInt64>>8 {
				return 0, errors.New("number is too large")
			}
			n = n<<8 | int64(c)
		}
		return n, nil
	}
	b = bytes.TrimLeft(b, " ")
	if i := bytes.IndexAny(b, " \x00"); i >= 0 {
		b = b[:i]
	}
	var n int64 // twelve octal digits fit
	for _, c := range b {
		if c < '0' || c > '7' {
			return 0, fmt.Errorf("number is not octal: %q", b)
		}
		n = n<<3 | int64(c-'0')
	}
	return n, nil
}
