package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
)

type reindexOptions struct {
	store string
	users []string
}

func newReindex() *cobra.Command {
	var opts reindexOptions
	cmd := &cobra.Command{
		Use:   "reindex --store DIR [USER...]",
		Short: "Rebuild indexes from the archives",
		Long: `Rebuild the index.sqlite3 of the named users, or of all, from their archives. An index is a cache: rebuilding loses
nothing, and nothing but time is lost with one. A mounted store goes on with the new one.

Exit status: 0; 3 if some users failed; 4 if a backup of the user is going on; 5 if an archive is damaged.`,
		Example: `  backupd reindex --store /srv/backup
  backupd reindex --store /srv/backup brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			return runReindex(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addStore(cmd, &opts.store)
	return cmd
}

func runReindex(ctx context.Context, opts reindexOptions, out, stderr io.Writer) error {
	st, err := openStore(opts.store)
	if err != nil {
		return err
	}
	users, err := selectUsers(st, opts.users)
	if err != nil {
		return err
	}
	progress := cli.NewProgress(os.Stderr)
	defer progress.Clear()
	var tally cli.Tally
	err = eachUser(ctx, users, func(ctx context.Context, u store.User) (runs int, err error) {
		return reindexUser(ctx, u, progress)
	}, func(u store.User, runs int, err error) {
		progress.Clear()
		err = explain(st, u, err)
		tally.Add(err, false)
		if err != nil && len(users) > 1 {
			cli.Report(stderr, "backupd", err, false)
		} else if err == nil {
			fmt.Fprintf(out, "%s: %s\n", cli.Clean(u.Name), plural(runs, "run"))
		}
	})
	if err != nil {
		return err
	}
	return tally.Err()
}

// reindexUser rebuilds one index and returns the number of its runs.
func reindexUser(ctx context.Context, u store.User, progress *cli.Progress) (runs int, err error) {
	path, err := u.Archive()
	if err != nil {
		return 0, err
	}
	release, err := lock.File(u.Lock())
	if err != nil {
		return 0, err
	}
	defer func() { _ = release() }()
	err = index.Rebuild(ctx, path, u.Index(), func(done, total int64) {
		progress.Show("%s: %d %%", u.Name, done*100/max(total, 1))
	})
	if errors.Is(err, index.ErrKept) {
		err = fmt.Errorf("%s: %w: %w", path, archive.ErrDamaged, err)
	}
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
