package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Archive is an archive opened for reading. It is safe for concurrent use. It keeps one descriptor and, but for the runs
// of a plain tar, no table.
type Archive struct {
	r      io.ReaderAt
	size   func() (int64, error)
	name   string
	close  func() error
	serial uint64 // tells archives apart in a Cache

	id   atomic.Uint64 // of its members, with bit 32 set; 0 until one was read
	kind atomic.Int32

	mu    sync.Mutex // guards plain
	plain plainRuns  // of a plain tar

	slow slowReader // into a foreign member too large for a Cache
}

// The kinds of an archive, told by its first block.
const (
	kindUnknown int32 = iota // it has no first block yet
	kindGzip
	kindPlain
)

var serials atomic.Uint64

// Open opens path (.tar.gz, or a plain .tar of Cyrus's tools) for reading.
func Open(path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	size := func() (int64, error) {
		st, err := f.Stat()
		if err != nil {
			return 0, err
		}
		return st.Size(), nil
	}
	a := NewArchive(f, size, path)
	a.close = f.Close
	return a, nil
}

// NewArchive reads from r: a segment store, a test. name is for errors, and says when an archive of another tool was begun.
func NewArchive(r io.ReaderAt, size func() (int64, error), name string) *Archive {
	return &Archive{r: r, size: size, name: name, serial: serials.Add(1), slow: slowReader{turn: make(chan struct{}, 1)}, close: func() error { return nil }}
}

// Close closes the archive. Nothing may read it any more.
func (a *Archive) Close() error { return a.close() }

// Path is the name that the archive was opened by.
func (a *Archive) Path() string { return a.name }

// Size asks the file for its size each time: it may grow.
func (a *Archive) Size() (int64, error) { return a.size() }

// isPlain reports whether the archive is a tar that is not compressed. An archive that is neither is taken for a damaged
// gzip one.
func (a *Archive) isPlain() (bool, error) {
	if k := a.kind.Load(); k != kindUnknown {
		return k == kindPlain, nil
	}
	var block [BlockSize]byte
	n, err := a.r.ReadAt(block[:], 0)
	if err != nil && err != io.EOF {
		return false, a.failed(0, err)
	}
	kind := kindGzip
	if n < len(gzipMagic) {
		return false, nil // too early to say
	}
	if n == BlockSize && string(block[:len(gzipMagic)]) != gzipMagic {
		if e, err := parseHeader(&block); err == nil && e.Name != "" {
			kind = kindPlain
		}
	}
	a.kind.Store(kind)
	return kind == kindPlain, nil
}

// damaged makes an ErrDamaged of what is wrong at a file offset.
func (a *Archive) damaged(at int64, what error) error {
	if errors.Is(what, ErrVersion) {
		return a.failed(at, what)
	}
	return fmt.Errorf("%s: at %d: %w: %w", a.name, at, ErrDamaged, what)
}

// failed wraps an error of the disk.
func (a *Archive) failed(at int64, err error) error {
	return fmt.Errorf("%s: at %d: %w", a.name, at, err)
}

// readAt fills p. What the file lacks is damage, what the disk refuses is not.
func (a *Archive) readAt(p []byte, off int64) error {
	n, err := a.r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return a.damaged(off, fmt.Errorf("the file ends after %d of %d bytes", n, len(p)))
	default:
		return a.failed(off, err)
	}
}

// ours checks that a member of ours belongs to this archive.
func (a *Archive) ours(m Member) bool {
	id := uint64(m.ID) | 1<<32
	return a.id.CompareAndSwap(0, id) || a.id.Load() == id
}
