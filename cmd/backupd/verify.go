package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

type verifyOptions struct {
	output
	store anyStore
	users []string
}

func newVerify() *cobra.Command {
	var opts verifyOptions
	cmd := &cobra.Command{
		Use:   "verify --store DIR [USER...]",
		Short: "Read everything and check every digest",
		Long: `Read the archives of the named users, or of all, from the first byte to the last: check every CRC, the SHA-1 of every
entry, the chain of digests over the runs, and that the index is what a rebuild would make. Each damaged message is named
on stderr by folder, UID and the dates that show it. Named as well, on stdout, is each that the server had no file for,
and each that backupd repair found lost: neither is new damage.

Nor is an index that is missing or of another version: it is a cache. An archive without a complete run, as a full disk
leaves it, is told on stderr, and is no damage unless the index knows of runs. A user of whom the archive is gone is.

With --json a user is one line.` + perlHelp + `

Exit status: 0 if nothing is damaged; 1 or 3 if no user or some could not be checked; 4 if a backup of the user is going
on; 5 if anything is damaged, or an archive is gone.`,
		Example: `  backupd verify --store /srv/backup
  backupd verify --store /srv/backup --json brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runVerify(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	opts.addQuiet(cmd)
	opts.addJSON(cmd, "print one JSON object a user")
	return cmd
}

func runVerify(ctx context.Context, opts verifyOptions) error {
	st, err := opts.store.open(ctx, "verify", opts.users)
	if err != nil {
		return err
	}
	var damaged, differing []store.User // that have a damaged archive, or only such an index
	err = overUsers(ctx, &opts.output, st, opts.users, func(ctx context.Context, u store.User) (*backup.Report, error) {
		return backup.Verify(ctx, u, opts.percent(u.Name+":"))
	}, func(u store.User, report *backup.Report, err error) error {
		if err != nil {
			return nil
		}
		opts.print(u, report)
		err = report.Err()
		switch {
		case err == nil:
			return nil
		case report.Damage() > 0:
			damaged = append(damaged, u)
		default:
			differing = append(differing, u)
		}
		return fmt.Errorf("%s: %w", u.Name, err)
	})
	switch {
	case st.Foreign() && len(damaged) == 0 && len(differing) > 0:
		err = cli.WithHint(err, "rm %s (it is made again)", cli.Shell(differing[0].Index()))
	case st.Foreign():
	case len(damaged) > 0:
		err = cli.WithHint(err, "backupd repair --store %s %s", cli.Shell(st.Root), cli.Shell(damaged[0].Name))
	case len(differing) > 0:
		err = cli.WithHint(err, "backupd reindex --store %s %s", cli.Shell(st.Root), cli.Shell(differing[0].Name))
	}
	return err
}
