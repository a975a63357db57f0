package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrFailed: an earlier write, sync or truncation of this File failed.
var ErrFailed = errors.New("an earlier operation on this file failed")

// File is a file that is written at its end. One goroutine writes; ReadAt may go on beside it.
type File struct {
	f      *os.File
	size   int64
	synced bool // by us, and nothing was changed since
	failed error
}

// Create makes a new file, mode 0600; os.ErrExist if there is one. Its existence is durable after SyncDir.
func Create(path string) (*File, error) {
	var f *os.File
	err := do("create", path, func() (err error) {
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		return err
	})
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return &File{f: f}, nil
}

// Open opens an existing file for appending.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{f: f, size: st.Size()}, nil
}

// Path is the name that the file was opened by.
func (f *File) Path() string { return f.f.Name() }

// Size is where the next Write begins.
func (f *File) Size() int64 { return f.size }

// ReadAt reads as os.File does, also what no sync has made durable.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Write appends p. It is durable after the next Sync.
func (f *File) Write(p []byte) (int, error) {
	var n int
	f.synced = false
	err := f.do("write", func() (err error) {
		n, err = f.f.WriteAt(p, f.size)
		f.size += int64(n)
		return err
	})
	return n, err
}

// Truncate cuts the file to size. It is durable after the next Sync; before it, either length may be found.
func (f *File) Truncate(size int64) error {
	f.synced = false
	return f.do("truncate", func() error {
		err := f.f.Truncate(size)
		if err == nil {
			f.size = size
		}
		return err
	})
}

// CutBack cuts a file that failed to size, and syncs it: what a failed sync left in memory, and perhaps not on the disk, is to be
// seen by nobody. The file stays failed.
func (f *File) CutBack(size int64) error {
	err := do("truncate", f.Path(), func() error { return f.f.Truncate(size) })
	return errors.Join(err, do("sync", f.Path(), f.f.Sync))
}

// Sync makes the file's bytes and length durable (not its name, see SyncDir), those too that others wrote before it was opened. It is
// nothing where this File was synced already and has changed nothing since.
func (f *File) Sync() error {
	if f.synced && f.failed == nil {
		return nil
	}
	err := f.do("sync", f.f.Sync)
	f.synced = err == nil
	return err
}

// Close closes the file without a sync.
func (f *File) Close() error { return f.f.Close() }

func (f *File) do(op string, work func() error) error {
	if f.failed != nil {
		return fmt.Errorf("%s: %w: %w", f.Path(), ErrFailed, f.failed)
	}
	f.failed = do(op, f.Path(), work)
	return f.failed
}

var _ interface {
	io.Writer
	io.ReaderAt
	io.Closer
} = (*File)(nil)
