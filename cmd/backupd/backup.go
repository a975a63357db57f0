package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/source"
)

type backupOptions struct {
	store       string
	conf        string
	at          string
	lockTimeout time.Duration
	mailboxList string
	json        bool
	users       []string
}

func newBackup() *cobra.Command {
	var opts backupOptions
	cmd := &cobra.Command{
		Use:   "backup --store DIR [USER...]",
		Short: "Back users up now, from the spool on this host",
		Long: `Back the named users up now, or all that the server has, from the Cyrus spool on this host. The server may run, and is
not kept waiting. A store is made where DIR is missing or empty, which is said on stderr. Each user's run stores what changed since the one before; one
in which nothing changed is a date all the same.

Mailboxes of no user are those of the user @shared. What could not be backed up is named on stderr: a mailbox that the
server keeps locked, a message whose file is missing or not what the server's index says (it is stored as found). A user
who fails stops no other.

With --json a user is one line.

Exit status: 0 if all was backed up; 1 if nothing could be; 3 if some users or messages failed; 4 if another backup of the
user is going on; 5 if a user's archive is damaged.`,
		Example: `  backupd backup --store /srv/backup
  backupd backup --store /srv/backup --imapd-conf /etc/imapd-2.conf brong cassandane
  backupd backup --store /srv/backup --at 2009-09-28T23:55:00Z brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			return runBackup(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addStore(cmd, &opts.store)
	flags := cmd.Flags()
	flags.StringVar(&opts.conf, "imapd-conf", "/etc/imapd.conf", "the server's configuration `FILE`")
	flags.StringVar(&opts.at, "at", "", "record the runs as begun at `TIME` (RFC 3339), not before the last one")
	flags.DurationVar(&opts.lockTimeout, "lock-timeout", 10*time.Second, "wait so long for the locks of a mailbox")
	flags.StringVar(&opts.mailboxList, "mailbox-list", source.ByMboxlist,
		"list the mailboxes by `WAY`: "+source.ByMboxlist+", the server's own tool, or "+source.BySpool+" where it cannot; "+source.BySpool+" alone")
	flags.BoolVar(&opts.json, "json", false, "print one JSON object a user")
	return cmd
}

func runBackup(ctx context.Context, opts backupOptions, out, stderr io.Writer) error {
	dir, err := storeDir(opts.store)
	if err != nil {
		return err
	}
	var at time.Time
	if opts.at != "" {
		if at, err = time.Parse(time.RFC3339, opts.at); err != nil {
			return cli.Usagef("--at %s: not a time as 2009-09-28T23:55:00Z", opts.at)
		}
		if time.Until(at) > time.Minute {
			return cli.Usagef("--at %s: it is in the future, and no run could come before it", opts.at)
		}
	}
	local := source.LocalOptions{ConfigPath: opts.conf, LockTimeout: opts.lockTimeout}
	switch opts.mailboxList {
	case source.ByMboxlist:
	case source.BySpool:
		local.MboxlistCommand = source.NoMboxlist
	default:
		return cli.Usagef("--mailbox-list %s: %s or %s", opts.mailboxList, source.ByMboxlist, source.BySpool)
	}
	src, err := source.OpenLocal(ctx, local)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	users, err := usersToBackUp(ctx, src, opts.users)
	if err != nil {
		return err
	}
	st, err := store.Init(dir)
	if err != nil {
		return err
	}
	unlisted := map[string]bool{}
	if len(opts.users) == 0 {
		if unlisted, err = unlistedUsers(st, users); err != nil {
			return err
		}
		users = append(users, slices.Sorted(maps.Keys(unlisted))...)
	}
	s := &backupSession{st: st, src: src, at: at, json: opts.json, unlisted: unlisted, many: len(users) > 1, out: out, stderr: stderr,
		progress: cli.NewProgress(os.Stderr)}
	defer s.progress.Clear()
	if st.Created {
		s.note("made a new store in %s", dir)
	}
	if err := eachUser(ctx, users, s.backup, s.report); err != nil {
		return err
	}
	s.noteListing()
	s.total()
	return s.tally.Err()
}

// usersToBackUp returns the named users, all of the server's if none are named.
func usersToBackUp(ctx context.Context, src source.Source, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	users, err := src.Users(ctx)
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, errors.New("the server has no users")
	}
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names, nil
}

// unlistedUsers are those that the store has and the server does not list. Most were deleted, which their runs find out; but a list that
// is not whole must not leave users out silently.
func unlistedUsers(st *store.Store, listed []string) (map[string]bool, error) {
	stored, err := st.Users()
	if err != nil {
		return nil, err
	}
	unlisted := make(map[string]bool, len(stored))
	for _, u := range stored {
		unlisted[u.Name] = true
	}
	for _, name := range listed {
		delete(unlisted, name)
	}
	return unlisted, nil
}

// at before the last run is a mistake in the call.
func usageIfBefore(err error) error {
	if errors.Is(err, backup.ErrBefore) {
		return cli.Usagef("--at: %v", err)
	}
	return err
}

func plural(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
