package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"backupfs/internal/store"
	"backupfs/source"
)

// User makes one run for one user. lock.ErrBusy if another run of this user is going on; source.ErrNoUser if the server
// has none; ErrBefore if opts.At is before the last run. When it returns without an error, the run is on disk. After any error, and
// after a cancelled ctx, the archive is as it was, and what was appended is moved aside by the next run.
func User(ctx context.Context, st *store.Store, src source.Source, user string, opts Options) (*Result, error) {
	u, err := st.User(user)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(u.Dir); errors.Is(err, fs.ErrNotExist) {
		// A name that the server does not know leaves no folder in the store.
		if _, err := src.Mailboxes(ctx, user); err != nil {
			return nil, err
		}
		if err := u.Make(); err != nil {
			return nil, err
		}
	}
	release, err := locked(u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", user, err)
	}
	ctx = source.OneWait(ctx)
	r := &run{src: src, user: u, opts: opts, started: time.Now()}
	err = r.commit(ctx)
	r.close()
	release()
	switch {
	case errors.Is(err, source.ErrNoUser):
		return nil, err // it names the user
	case err != nil:
		return nil, fmt.Errorf("%s: %w", user, err)
	}
	return &r.result, nil
}
