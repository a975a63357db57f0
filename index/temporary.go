package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"backupfs/archive"
)

// OpenAny opens the index at path for reading if it is of the archive and knows all of its runs. Else it is as Temporary, and made is true.
func OpenAny(ctx context.Context, a *archive.Archive, path string) (ix *Index, made bool, release func(), err error) {
	ix, err = OpenRead(path)
	if err == nil {
		whole, err := ix.whole(a)
		if err == nil && whole {
			return ix, false, func() { _ = ix.Close() }, nil
		}
		if err := errors.Join(err, ix.Close()); err != nil {
			return nil, false, nil, err
		}
	} else if !errors.Is(err, ErrNone) {
		return nil, false, nil, err
	}
	ix, release, err = Temporary(ctx, a.Path())
	return ix, true, release, err
}

// whole says that the index is of an archive, and knows all of its runs.
func (ix *Index) whole(a *archive.Archive) (bool, error) {
	fits, err := ix.Fits(a)
	if err != nil || !fits {
		return false, err
	}
	status, err := ix.Status()
	if err != nil {
		return false, err
	}
	end, err := a.Complete(status.End)
	return err != nil || end == status.End, nil // what is damaged behind it is no run that could be had
}

// TemporaryMoved is Moved, in a temporary folder; ix is nil if nothing was made.
func TemporaryMoved(ctx context.Context, a *archive.Archive, from string) (ix *Index, remove func(), err error) {
	return temporary(func(file string) (bool, error) { return Moved(ctx, a, from, file) })
}

// Temporary builds an index of an archive in a temporary folder: for who reads a store whose own index is of no use, and which may not be
// written. remove closes it, and removes it.
func Temporary(ctx context.Context, archivePath string) (ix *Index, remove func(), err error) {
	return temporary(func(file string) (bool, error) { return true, Rebuild(ctx, archivePath, file, nil) })
}

func temporary(build func(file string) (made bool, err error)) (ix *Index, remove func(), err error) {
	dir, err := os.MkdirTemp("", "backupfs-index-")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "index.sqlite3")
	made, err := build(file)
	if err == nil && made {
		ix, err = OpenRead(file)
	}
	if err != nil || !made {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return ix, func() {
		_ = ix.Close()
		_ = os.RemoveAll(dir)
	}, nil
}
