package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// foreignReader inflates one gzip member of another tool, in constant memory, and knows where it ends in the file.
type foreignReader struct {
	a   *Archive
	at  int64 // where the member begins
	src countReader
	buf *bufio.Reader
	zr  *gzip.Reader
}

// countReader counts what was read, and keeps the disk's error apart from what the inflater makes of it.
type countReader struct {
	r   io.Reader
	n   int64
	err error
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// foreign opens the gzip member at a file offset.
func (a *Archive) foreign(at, limit int64) (*foreignReader, error) {
	f := &foreignReader{a: a, at: at, src: countReader{r: io.NewSectionReader(a.r, at, limit-at)}}
	f.buf = bufio.NewReaderSize(&f.src, 32<<10)
	var err error
	if f.zr, err = gzip.NewReader(f.buf); err != nil {
		return nil, f.wrap(err)
	}
	f.zr.Multistream(false)
	return f, nil
}

// Read returns io.EOF behind the last byte, once the CRC proved right.
func (f *foreignReader) Read(p []byte) (int, error) {
	n, err := f.zr.Read(p)
	if err != nil && err != io.EOF {
		err = f.wrap(err)
	}
	return n, err
}

// consumed is how many bytes of the file the member takes, once Read has returned io.EOF.
func (f *foreignReader) consumed() int64 { return f.src.n - int64(f.buf.Buffered()) }

func (f *foreignReader) wrap(err error) error {
	if f.src.err != nil {
		return f.a.failed(f.at, f.src.err)
	}
	return f.a.damaged(f.at, fmt.Errorf("gzip member of another tool: %w", err))
}

// foreignMember inflates the member at pos into w to find its end.
func (a *Archive) foreignMember(pos Position, limit int64, w io.Writer) (Member, error) {
	f, err := a.foreign(pos.File, limit)
	if err != nil {
		return Member{}, err
	}
	n, err := io.Copy(w, f)
	if err != nil {
		return Member{}, err
	}
	return Member{Position: pos, FileSize: f.consumed(), TarSize: n, Foreign: true}, nil
}

// foreignRun finds the first whole member of another tool at or behind a file offset. It is known by its CRC, and
// by the entry that it begins with.
func (a *Archive) foreignRun(from, limit int64) (at int64, ok bool, err error) {
	const least = 10 + memberTrailerSize // of any gzip member
	err = a.search(gzipMagic, least, from, limit, func(b []byte, pos int64) (stop bool, err error) {
		if _, err := parseMemberHeader(b); !errors.Is(err, errForeign) {
			return false, nil
		}
		ok, err = a.isForeignRun(pos, limit)
		at = pos
		if errors.Is(err, ErrDamaged) || err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		return ok, err
	})
	return at, ok, err
}

func (a *Archive) isForeignRun(at, limit int64) (bool, error) {
	f, err := a.foreign(at, limit)
	if err != nil {
		return false, err
	}
	var block [BlockSize]byte
	if _, err := io.ReadFull(f, block[:]); err != nil {
		return false, err
	}
	e, err := parseHeader(&block)
	if long := e.Type == typeLongName || e.Type == typeLongLink; err != nil || !long && !allowedName(e.Name) {
		return false, nil
	}
	_, err = io.Copy(io.Discard, f)
	return err == nil, err
}

// openForeign reads a foreign member from its start.
func (a *Archive) openForeign(m Member) (io.Reader, error) {
	if plain, err := a.isPlain(); err != nil {
		return nil, err
	} else if plain {
		return io.NewSectionReader(a.r, m.File, m.FileSize), nil
	}
	return a.foreign(m.File, m.File+m.FileSize)
}

// inflateForeign inflates a member whole into dst, which has its size.
func (a *Archive) inflateForeign(m Member, dst []byte) error {
	if plain, err := a.isPlain(); err != nil {
		return err
	} else if plain {
		return a.readAt(dst, m.File)
	}
	f, err := a.foreign(m.File, m.File+m.FileSize)
	if err != nil {
		return err
	}
	if _, err = io.ReadFull(f, dst); err == nil {
		_, err = io.ReadFull(f, make([]byte, 1)) // the inflater looks at the CRC behind the last byte only
		if err == io.EOF && f.consumed() == m.FileSize {
			return nil
		}
	}
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		err = a.damaged(m.File, errors.New("another member stands here"))
	}
	return err
}
