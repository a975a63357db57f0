package fs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
)

// openIndex opens the store's index of an archive. Where it is missing, of another schema or archive, or lacks a run which nobody is
// about to add, a private one is made in the cache folder: the store may be read-only. The index of another tool's archive is there
// anyhow. Nil if there is no complete run.
func (f *FS) openIndex(ctx context.Context, s *slot, a *archive.Archive) (*index.Index, error) {
	if err := index.KnownState(s.folder.State()); err != nil {
		f.logOnce(fmt.Sprintf("user %s: %v", store.Escape(s.folder.Name), err))
	}
	moved := "" // the store's index, where it knows what stood in the archive, and not where it stands now
	ix, why := index.OpenRead(s.folder.Index())
	if why == nil {
		var st index.Status
		var own bool
		why = ix.Together(func() (err error) {
			if st, err = ix.Status(); err == nil {
				own, err = ix.Fits(a)
			}
			return err
		})
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
			if of, err := ix.Of(a); of && err == nil {
				moved = s.folder.Index()
				why = fmt.Errorf("it knows runs up to %d that are not in the archive, or not in their place", st.End.File)
			}
		}
		ix.Close()
	}
	if s.folder.Foreign() {
		return f.keepIndex(ctx, a, s.folder, "") // which alone looks for the end: to find that of another tool's archive is to inflate it
	}
	end, err := a.Complete(archive.Position{})
	if err != nil && end == (archive.Position{}) {
		return nil, err
	}
	if end == (archive.Position{}) {
		return nil, nil
	}
	private := f.opts.Store.Cached(s.folder, f.opts.CacheDir)
	f.logOnce(fmt.Sprintf("user %s: the store's index cannot be used (%v), so one is kept in %s", store.Escape(s.folder.Name), why, private.Index()))
	return f.keepIndex(ctx, a, private, moved)
}

// keepIndex brings a user's index in the cache up to date, and opens it. moved is as index.Keep's.
func (f *FS) keepIndex(ctx context.Context, a *archive.Archive, u store.User, moved string) (*index.Index, error) {
	if err := index.Keep(ctx, a, u.Index(), u.Lock(), moved, nil); err != nil {
		return nil, fmt.Errorf("making a private index: %w", err)
	}
	return index.OpenRead(u.Index())
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
