package archive

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// Rescue returns the tar that still comes out of a damaged member which begins at a file offset, or did: at most MaxInflate bytes of what
// stands before limit. Nothing vouches for a byte of it; who takes some compares a digest.
func (a *Archive) Rescue(at, limit int64) ([]byte, error) {
	if plain, err := a.isPlain(); err != nil || plain {
		return nil, err
	}
	var most []byte
	for _, header := range []int64{MemberHeaderSize, 0, 10} { // ours; any that is whole; the shortest there is
		if at+header >= limit {
			continue
		}
		src := countReader{r: io.NewSectionReader(a.r, at+header, limit-at-header)}
		buf := bufio.NewReader(&src)
		var tar []byte
		if header > 0 {
			tar = inflatable(flate.NewReader(buf))
		} else if zr, err := gzip.NewReader(buf); err == nil {
			zr.Multistream(false)
			tar = inflatable(zr)
		}
		if src.err != nil {
			return nil, a.failed(at, src.err)
		}
		if len(tar) > len(most) {
			most = tar
		}
	}
	return most, nil
}

func inflatable(r io.Reader) []byte {
	var b bytes.Buffer
	_, _ = io.Copy(&b, io.LimitReader(r, MaxInflate)) // it ends with an error
	return b.Bytes()
}

// Entries returns the entries in tar that came out of a damaged member, which stands at offset in the stream. They are looked for at
// every block, since nobody knows where one begins: most that a message holds by chance are none.
func Entries(tar []byte, offset int64) (entries []Entry) {
	for at := 0; at+BlockSize <= len(tar); at += BlockSize {
		e, err := parseHeader((*[BlockSize]byte)(tar[at:]))
		if err != nil || e.Type != TypeFile || e.Gone() || !allowedName(e.Name) || contentSize(e) > int64(len(tar)-at-BlockSize) {
			continue
		}
		e.Offset, e.Data = offset+int64(at), offset+int64(at)+BlockSize
		entries = append(entries, e)
	}
	return entries
}

// WholeForeign finds the first whole member of another tool between two file offsets, and opens what stands there as an archive of its
// own: behind damage nobody knows where in the tar it stood. ok is false if there is none.
func (a *Archive) WholeForeign(from, limit int64) (part *Archive, at int64, ok bool, err error) {
	if plain, err := a.isPlain(); err != nil || plain {
		return nil, 0, false, err
	}
	if at, ok, err = a.foreignRun(from, limit); err != nil || !ok {
		return nil, 0, false, err
	}
	r := io.NewSectionReader(a.r, at, limit-at)
	return NewArchive(r, func() (int64, error) { return limit - at, nil }, a.name), at, true, nil
}

// ForeignBehind finds where whole runs of another tool stand behind damage that ends an archive, ok false if there is none. end is that of
// its last complete run.
func (a *Archive) ForeignBehind(end Position) (at int64, ok bool, err error) {
	size, err := a.size()
	if err != nil || size <= end.File {
		return 0, false, err
	}
	if plain, err := a.isPlain(); err != nil || plain {
		return 0, false, err
	}
	t, err := a.complete(end, size)
	if err != nil || t.broken < 0 {
		return 0, false, err
	}
	return a.foreignRun(t.broken, size)
}
