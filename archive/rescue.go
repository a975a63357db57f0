package archive

import (
	"bytes"
	"io"
)

// Rescue returns the tar that still comes out of a damaged member which begins at a file offset, or did: at most MaxInflate bytes of what
// stands before limit. Nothing vouches for a byte of it; who takes some compares a digest.
func (a *Archive) Rescue(at, limit int64) ([]byte, error) {
	if plain, err := a.isPlain(); err != nil || plain {
		return nil, err
	}
	var most []byte
	for _, header := range []int64{MemberHeaderSize, anyHeader, 10} { // ours; any that is whole; the shortest there is
		err := a.inflateFrom(at, limit, header, func(r io.Reader) {
			var tar bytes.Buffer
			_, _ = io.Copy(&tar, io.LimitReader(r, MaxInflate)) // it ends with an error
			if tar.Len() > len(most) {
				most = tar.Bytes()
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return most, nil
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
