package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
)

type reindexOptions struct {
	output
	store string
	users []string
}

func newReindex() *cobra.Command {
	var opts reindexOptions
	cmd := &cobra.Command{
		Use:   "reindex --store DIR [USER...]",
		Short: "Rebuild indexes from the archives",
		Long: `Rebuild the index.sqlite3 of the named users, or of all, from their archives. An index is a cache: rebuilding loses
nothing, and nothing but time is lost with one. A mounted store goes on with the new one. An index that knows runs which
can no longer be read from the archive is not replaced: that is damage, and backupd verify names it.

Exit status: 0; 1 if all users failed, 3 if some did; 4 if a backup of the user is going on; 5 if an archive is damaged or
gone.`,
		Example: `  backupd reindex --store /srv/backup
  backupd reindex --store /srv/backup brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runReindex(cmd.Context(), opts)
		},
	}
	addStore(cmd, &opts.store)
	opts.addQuiet(cmd)
	return cmd
}

func runReindex(ctx context.Context, opts reindexOptions) error {
	st, err := openStore(ctx, "reindex", opts.store, opts.users)
	if err != nil {
		return err
	}
	return overUsers(ctx, &opts.output, st, opts.users, func(ctx context.Context, u store.User) (int, error) {
		return reindexUser(ctx, u, opts.percent(u.Name+":"))
	}, func(u store.User, runs int, err error) error {
		if err == nil {
			opts.say("%s: %s", u.Name, plural(runs, "run"))
		}
		return nil
	})
}

// reindexUser rebuilds one index and returns the number of its runs.
func reindexUser(ctx context.Context, u store.User, progress func(done, total int64)) (runs int, err error) {
	release, err := lock.File(u.Lock())
	if err != nil {
		return 0, err
	}
	defer func() { _ = release() }()
	path, err := u.Archive()
	if err != nil {
		return 0, err
	}
	err = index.Rebuild(ctx, path, u.Index(), progress)
	if err != nil {
		return 0, err
	}
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		return 0, err
	}
	defer ix.Close()
	if problems, err := ix.Problems(); err != nil || len(problems) > 0 {
		return 0, errors.Join(err, fmt.Errorf("%s: %w: %s in it cannot be read", path, archive.ErrDamaged, plural(len(problems), "place")))
	}
	status, err := ix.Status()
	return status.Runs, err
}
