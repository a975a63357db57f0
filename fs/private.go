package fs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
)

// openIndex opens the store's index of an archive. Where it is missing, of another schema or archive, or lacks a run which nobody is
// about to add, a private one is made in the cache folder: the store may be read-only. Nil if there is no complete run.
func (f *FS) openIndex(ctx context.Context, s *slot, a *archive.Archive) (*index.Index, error) {
	ix, why := index.OpenRead(s.folder.Index())
	if why == nil {
		var st index.Status
		var own bool
		if st, why = ix.Status(); why == nil {
			own, why = ix.Fits(a)
		}
		if why == nil && own {
			end, err := a.Complete(st.End)
			if err != nil {
				f.logOnce(fmt.Sprintf("user %s: what stands behind the last run cannot be read: %v", store.Escape(s.folder.Name), err))
			}
			if err != nil || end == st.End || beingWritten(s.folder.Lock()) {
				return ix, nil
			}
			why = errors.New("it lacks the newest run")
		} else if why == nil {
			why = fmt.Errorf("it is of another archive, %s to %d", st.Archive, st.End.File)
		}
		ix.Close()
	}
	end, err := a.Complete(archive.Position{})
	if err != nil && end == (archive.Position{}) {
		return nil, err
	}
	if end == (archive.Position{}) {
		return nil, nil
	}
	path := filepath.Join(f.opts.CacheDir, f.opts.Store.ID, store.Escape(s.folder.Name), "index.sqlite3")
	f.logOnce(fmt.Sprintf("user %s: the store's index cannot be used (%v), so one is kept in %s", store.Escape(s.folder.Name), why, path))
	if err := makePrivate(ctx, a, path); err != nil {
		return nil, fmt.Errorf("making a private index: %w", err)
	}
	return index.OpenRead(path)
}

// makePrivate brings the index at path up to date with a. Several mounts may share a cache folder.
func makePrivate(ctx context.Context, a *archive.Archive, path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	release, err := lock.File(path + ".lock")
	for errors.Is(err, lock.ErrBusy) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		release, err = lock.File(path + ".lock")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	ix, err := index.OpenWrite(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	return ix.CatchUp(ctx, a, nil)
}

// beingWritten reports whether a backup of the user is going on: somebody holds the lock. It is asked, not taken: the
// store may be read-only, and a backup must not find it taken.
func beingWritten(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	want := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_OFD_GETLK, &want); err != nil {
		return false
	}
	return want.Type == unix.F_WRLCK
}
