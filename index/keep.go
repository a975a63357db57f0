package index

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"backupfs/archive"
	"backupfs/lock"
)

// Keep brings an index outside its store up to date, and makes it and its folder if need be: of a store that this program cannot
// write, or must not. moved, if not empty, is the store's own, where the archive's bytes moved: the witness of what stood there (Moved).
// Who else keeps the same index is waited for. progress is as CatchUp's.
func Keep(ctx context.Context, a *archive.Archive, path, lockPath, moved string, progress func(done, total int64)) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	release, err := lock.File(lockPath)
	for errors.Is(err, lock.ErrBusy) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		release, err = lock.File(lockPath)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if moved != "" {
		if ok, err := Moved(ctx, a, moved, path); ok || err != nil && !errors.Is(err, ErrNone) {
			return err
		}
	}
	ix, err := OpenWrite(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	return ix.CatchUp(ctx, a, progress)
}
