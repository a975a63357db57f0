package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"backupfs/internal/store"
)

// ErrNewer: a user has another run than who wants him removed knew.
var ErrNewer = errors.New("there is a newer backup")

// Removed says what a Remove took away.
type Removed struct {
	Runs  int
	Last  time.Time // when the newest of them began, by its clock
	Bytes int64     // of all files
}

// Remove takes a user out of his store, with his archive and all that is beside it. lock.ErrBusy while a run is going on, ErrNewer if the
// newest did not begin then, by its clock. Until the last moment, ctx can end it. A user whose archive is damaged, or gone, stays: somebody has to look at that.
func Remove(ctx context.Context, st *store.Store, u store.User, last time.Time) (*Removed, error) {
	if _, err := os.Stat(u.Dir); err != nil {
		return nil, err
	}
	release, err := locked(u)
	if err != nil {
		return nil, err
	}
	defer release()
	r := new(Removed)
	runs, err := Runs(ctx, u)
	if err != nil {
		return nil, err
	}
	if r.Runs = len(runs); r.Runs > 0 {
		r.Last = runs[r.Runs-1].Clocked()
	}
	if r.Runs > 0 && !r.Last.Equal(last) {
		return nil, fmt.Errorf("%s: %w, of %s", u.Name, ErrNewer, r.Last)
	}
	err = filepath.WalkDir(u.Dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			r.Bytes += info.Size()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil { // he may be in a list again
		return nil, err
	}
	return r, st.Remove(u)
}
