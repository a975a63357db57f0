package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

type repairOptions struct {
	output
	store string
	write bool
	users []string
}

func newRepair() *cobra.Command {
	var opts repairOptions
	cmd := &cobra.Command{
		Use:   "repair --store DIR [--write] USER...",
		Short: "Make a new archive of what can be read of a damaged one",
		Long: `Make a new archive of all that can be read of a user's damaged one, and of what its index still knows of the rest. Without
--write, all is done but the last step: the new archive is made, proven, and removed again, and what would be lost is
named. With --write it takes the place of the old one, which is kept beside it as backupdata-….damaged-….

Nothing is taken over that no digest vouches for. Dates stay as they are. A cyrus.index that is lost is made again from the
list of its messages, without their flags; a message that is lost stays in the list, and reading it fails. The next backup
looks at all folders again, and stores what the server still has: then it can be read at all dates.

Exit status: 0 if nothing is damaged, or all was repaired and nothing is lost; 1 if it failed; 3 if something is lost; 4 if
a backup of the user is going on; 5 without --write, if there is damage to repair.`,
		Example: `  backupd repair --store /srv/backup brong
  backupd repair --store /srv/backup --write brong`,
		Args: cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runRepair(cmd.Context(), opts)
		},
	}
	addStore(cmd, &opts.store)
	cmd.Flags().BoolVar(&opts.write, "write", false, "put the new archive in the place of the old one")
	opts.addQuiet(cmd)
	return cmd
}

func runRepair(ctx context.Context, opts repairOptions) error {
	st, err := openStore(ctx, "repair", opts.store, opts.users)
	if err != nil {
		return err
	}
	users, err := selectUsers(st, opts.users)
	if err != nil {
		return err
	}
	defer opts.progress.Clear()
	var tally cli.Tally
	for _, u := range users { // each takes all processors
		err := opts.repair(ctx, st, u)
		if err != nil && len(users) > 1 {
			opts.fail(err)
		}
		tally.Add(err, false)
	}
	return tally.Err()
}

// repair repairs one user's archive, and tells what was done.
func (o *repairOptions) repair(ctx context.Context, st *store.Store, u store.User) error {
	if _, err := os.Stat(u.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", u.Name, unknownUser(st, u))
	}
	res, err := backup.Repair(ctx, u, backup.RepairOptions{Write: o.write, Progress: o.percent(u.Name + ":")})
	o.progress.Clear()
	if err != nil {
		return fmt.Errorf("%s: %w", u.Name, err)
	}
	if res.Nothing {
		o.say("%s: nothing is damaged in %s", u.Name, plural(res.Runs, "run"))
		return nil
	}
	for _, l := range res.Lost {
		o.note("%s: lost: run %d, %s (%s)", u.Name, l.Run, l.Name, size(l.Size))
	}
	for _, name := range res.Unclear {
		o.note("%s: %s: its list of messages is lost at some date, which shows that of the date before", u.Name, name)
	}
	if !o.write {
		o.say("%s: would keep %s, %s; lost would be %d", u.Name, plural(res.Runs, "run"), entries(res.Entries), len(res.Lost))
		return cli.WithHint(fmt.Errorf("%s: %w", u.Name, archive.ErrDamaged), "backupd repair --store %s --write %s", cli.Shell(st.Root), cli.Shell(u.Name))
	}
	o.say("%s: kept %s, %s, in %s; lost are %d", u.Name, plural(res.Runs, "run"), entries(res.Entries), res.Path, len(res.Lost))
	if res.Aside != "" {
		o.say("%s: the damaged archive is %s", u.Name, res.Aside)
	}
	if len(res.Lost) > 0 {
		return cli.WithHint(fmt.Errorf("%s: %w: what is lost is named", u.Name, cli.ErrPartial),
			"back the user up: what the server still has is stored again")
	}
	return nil
}
