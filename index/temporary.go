package index

import (
	"context"
	"errors"

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

// TemporaryMoved is Moved, for an index that has no name; ix is nil if nothing was made.
func TemporaryMoved(ctx context.Context, a *archive.Archive, from string) (ix *Index, remove func(), err error) {
	d, err := moved(ctx, a, from, func() (*db, error) { return nameless(a.Path()) })
	if d == nil || err != nil {
		return nil, nil, err
	}
	ix = &Index{path: d.path, db: d}
	return ix, func() { _ = ix.Close() }, nil
}

// Temporary builds an index of an archive that has no name: for who reads a store whose own index is of no use, and which may not be
// written. remove closes it, and nothing is left of it; nor is if the process is killed.
func Temporary(ctx context.Context, archivePath string) (ix *Index, remove func(), err error) {
	d, err := nameless(archivePath)
	if err != nil {
		return nil, nil, err
	}
	ix = &Index{path: d.path, db: d}
	if err := ix.readAll(ctx, archivePath, nil); err != nil {
		return nil, nil, errors.Join(err, ix.Close())
	}
	return ix, func() { _ = ix.Close() }, nil
}
