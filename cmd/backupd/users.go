package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
)

// errNoRun: of a user no run ever was complete. It is told, and no failure.
var errNoRun = errors.New("no complete run yet")

// overUsers does work for the named users of a store, or for all if none are named, several at a time. done hears of each, one at a
// time, and returns what is wrong with the result, which it has told; err is told here. A user who fails stops no other.
func overUsers[T any](ctx context.Context, o *output, st *store.Store, names []string, work func(context.Context, store.User) (T, error),
	done func(u store.User, result T, err error) error) error {
	users, err := selectUsers(st, names)
	if err != nil {
		return err
	}
	defer o.progress.Clear()
	var tally cli.Tally
	err = eachUser(ctx, users, processors(), func(ctx context.Context, u store.User) (result T, err error) {
		if err = o.ready(ctx, st, u); err == nil {
			result, err = work(ctx, u)
		}
		return result, explain(st, u, err)
	}, func(u store.User, result T, err error) {
		o.progress.Clear()
		found := done(u, result, err)
		switch {
		case errors.Is(err, errNoRun):
			o.note("%v", err)
			err = nil
		case err == nil:
			err = found
		case len(users) > 1:
			o.fail(err)
		}
		tally.Add(err, false)
	})
	if err != nil {
		return err
	}
	return tally.Err()
}

// selectUsers returns the named users, each once, or all that have a folder if none are named.
func selectUsers(st *store.Store, names []string) ([]store.User, error) {
	if len(names) == 0 {
		return st.Folders()
	}
	var users []store.User
	for _, name := range once(names) {
		u, err := st.User(name)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// once leaves out what was named before.
func once(names []string) (list []string) {
	for _, name := range names {
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// ready sees to it that a user can be read: he has an archive, and the index of another tool's is up to date.
func (o *output) ready(ctx context.Context, st *store.Store, u store.User) error {
	err := hasArchive(st, u)
	if err == nil && u.Foreign() {
		err = o.keepIndex(ctx, u)
	}
	return err
}

// hasArchive tells a user whom the store does not know from one whose archive is gone.
func hasArchive(st *store.Store, u store.User) error {
	_, err := u.Archive()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(u.Dir); errors.Is(err, fs.ErrNotExist) {
		return unknownUser(st, u)
	}
	status, known := indexed(u)
	then := "ls -l %s (put a copy of the archive back; else the next backup begins a new one)"
	args := []any{cli.Shell(u.Dir)}
	switch {
	case known && status.Runs == 0:
		return errNoRun
	case known:
		then = "backupd repair --store %s %s (where there is no copy of the archive to put back)"
		args = []any{cli.Shell(st.Root), cli.Shell(u.Name)}
		err = fmt.Errorf("%w: %s is gone from %s, and with it %s", archive.ErrDamaged, status.Archive, u.Dir, plural(status.Runs, "run"))
	default:
		err = fmt.Errorf("no archive in %s", u.Dir)
	}
	return cli.WithHint(err, then, args...)
}

// indexed is what a user's index knows. The first run makes the index before the archive: on a full disk it leaves one of 0 bytes.
func indexed(u store.User) (status index.Status, known bool) {
	if info, err := os.Stat(u.Index()); err == nil && info.Size() == 0 {
		return status, true
	}
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		return status, false
	}
	defer ix.Close()
	status, err = ix.Status()
	return status, err == nil
}

// keepIndex brings the index of another tool's archive up to date, and says if the archive may hold what this program does not know.
func (o *output) keepIndex(ctx context.Context, u store.User) error {
	if err := index.KnownState(u.State()); err != nil {
		o.note("%s: %v", u.Name, err)
	}
	path, err := u.Archive()
	if err != nil {
		return err
	}
	a, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	return index.Keep(ctx, a, u.Index(), u.Lock(), "", o.percent(u.Name+": making an index,"))
}

func unknownUser(st *store.Store, u store.User) error {
	all, err := st.Folders()
	if err != nil {
		return err
	}
	var names []string
	for _, other := range all {
		names = append(names, other.Name)
	}
	return cli.WithHint(fmt.Errorf("no such user in %s%s", st.Root, closest(u.Name, names)), "backupd list --store %s", cli.Shell(st.Root))
}

// explain names the user in an error, and adds what helps; nil stays nil.
func explain(st *store.Store, u store.User, err error) error {
	if err == nil {
		return nil
	}
	return withHint(st, u.Name, fmt.Errorf("%s: %w", u.Name, err))
}

// withDiskHint adds to an error what helps where the store's disk takes no more.
func withDiskHint(st *store.Store, err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return cli.WithHint(err, "df -h -i %s (nothing that was backed up is lost; make room, and back up again)", cli.Shell(st.Root))
	case errors.Is(err, unix.EROFS):
		return cli.WithHint(err, "findmnt -T %s (a store that is read-only can be read, and not written)", cli.Shell(st.Root))
	}
	return err
}

// withHint adds to an error of one user what helps.
func withHint(st *store.Store, user string, err error) error {
	root, name := cli.Shell(st.Root), cli.Shell(user)
	err = withDiskHint(st, err)
	switch {
	case errors.Is(err, archive.ErrDamaged):
		return cli.WithHint(err, "backupd verify --store %s %s", root, name)
	case errors.Is(err, index.ErrNone):
		return cli.WithHint(err, "backupd reindex --store %s %s", root, name)
	}
	return err
}
