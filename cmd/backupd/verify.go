package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

type verifyOptions struct {
	store string
	users []string
	json  bool
}

func newVerify() *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --store DIR [USER...]",
		Short: "Read everything and check every digest",
		Long: `Read the archives of the named users, or of all, from the first byte to the last: check every CRC, the SHA-1 of every
entry, the chain of digests over the runs, and that the index is what a rebuild would make. Each damaged message is named
by folder, UID and the dates that show it; so is each that the server had no file for, which is no damage.

With --json a user is one line.

Exit status: 0 if all is well; 3 if a user could not be checked; 4 if a backup of the user is going on; 5 if anything is
damaged.`,
		Example: `  backupd verify --store /srv/backup
  backupd verify --store /srv/backup --json brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			return runVerify(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addStore(cmd, &opts.store)
	cmd.Flags().BoolVar(&opts.json, "json", false, "print one JSON object a user")
	return cmd
}

func runVerify(ctx context.Context, opts verifyOptions, out, stderr io.Writer) error {
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
	err = eachUser(ctx, users, func(ctx context.Context, u store.User) (*backup.Report, error) {
		return backup.Verify(ctx, u, func(done, total int64) {
			progress.Show("%s: %d %%", u.Name, done*100/max(total, 1))
		})
	}, func(u store.User, report *backup.Report, err error) {
		progress.Clear()
		if err == nil {
			printReport(out, u, report, opts.json)
			err = report.Err()
		} else {
			err = explain(st, u, err)
		}
		tally.Add(err, false)
		if err != nil && len(users) > 1 {
			cli.Report(stderr, "backupd", err, opts.json)
		}
	})
	if err != nil {
		return err
	}
	return tally.Err()
}
