package schedule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"backupfs/backup"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/source"
)

// Stores are the stores that users are backed up into: each into the one that has him.
type Stores []*store.Store

// Roots are their folders.
func (s Stores) Roots() (roots []string) {
	for _, st := range s {
		roots = append(roots, st.Root)
	}
	return roots
}

// Names are the users that have a folder, sorted.
func (s Stores) Names() (names []string, err error) {
	for _, st := range s {
		users, err := st.Folders()
		if err != nil {
			return nil, err
		}
		for _, u := range users {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Last is when a user's newest run began, by its clock, zero if there is none that can be read: then he is the next whose turn it is, and it is told.
func (s Stores) Last(ctx context.Context, name string) time.Time {
	u, err := s.user(name)
	if err != nil {
		return time.Time{}
	}
	runs, _ := backup.Runs(ctx, u) // of a damaged archive, what is left
	if len(runs) == 0 || ctx.Err() != nil {
		return time.Time{}
	}
	return runs[len(runs)-1].Clocked()
}

// Runs are a user's as his index has them, oldest first, for who must not wait: whether the archive still has them, and more, is not looked at.
func (s Stores) Runs(name string) ([]index.Run, error) {
	u, err := s.user(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // he never had one
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(u.Index()); err == nil && info.Size() == 0 {
		return nil, nil // his first run goes on, or did not end
	}
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		return nil, err
	}
	defer func() { _ = ix.Close() }()
	return ix.Runs()
}

// Backup makes one run of a user. A new one goes where most space is free.
func (s Stores) Backup(ctx context.Context, src source.Source, name string) (*backup.Result, error) {
	st, err := s.of(name)
	if err == nil && st == nil {
		st, err = s.emptiest()
	}
	if err != nil {
		return nil, err
	}
	return backup.User(ctx, st, src, name, backup.Options{})
}

// Compact drops what a user's archive need not keep.
func (s Stores) Compact(ctx context.Context, name string, r Retention) (*backup.Compacted, error) {
	u, err := s.user(name)
	if err != nil {
		return nil, err
	}
	return backup.Compact(ctx, u, backup.CompactOptions{Keep: r.Keep, Location: r.Location, Deleted: r.Deleted, Live: r.Live})
}

// Remove removes a user, from the store that has him.
func (s Stores) Remove(ctx context.Context, name string, last time.Time) (*backup.Removed, error) {
	st, err := s.of(name)
	if err != nil || st == nil {
		return nil, err
	}
	u, err := st.User(name)
	if err != nil {
		return nil, err
	}
	return backup.Remove(ctx, st, u, last)
}

// Sweep takes away what removals left that were interrupted.
func (s Stores) Sweep() (err error) {
	for _, st := range s {
		err = errors.Join(err, st.Sweep())
	}
	return err
}

// user finds a user in the store that has him; fs.ErrNotExist if none has, or has any more.
func (s Stores) user(name string) (store.User, error) {
	st, err := s.of(name)
	if err == nil && st == nil {
		err = fmt.Errorf("%s: in no store: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return store.User{}, err
	}
	return st.User(name)
}

// of returns the store that has a user, the first if several have, nil if none has.
func (s Stores) of(name string) (*store.Store, error) {
	for _, st := range s {
		u, err := st.User(name)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(u.Dir); err == nil {
			return st, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return nil, nil
}

func (s Stores) emptiest() (best *store.Store, err error) {
	var most uint64
	for _, st := range s {
		space := spaceOf(st.Root)
		if space.Error != "" {
			return nil, errors.New(space.Error)
		}
		if best == nil || space.Free > most {
			best, most = st, space.Free
		}
	}
	return best, nil
}
