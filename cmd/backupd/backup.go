package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/source"
)

type backupOptions struct {
	output
	store       string
	from        string
	tls         tlsOptions
	conf        string
	at          string
	lockTimeout time.Duration
	mailboxList string
	users       []string
}

func newBackup() *cobra.Command {
	var opts backupOptions
	cmd := &cobra.Command{
		Use:   "backup --store DIR [USER...]",
		Short: "Back users up now, from the spool on this host or from an agent",
		Long: `Back the named users up now, or all that the server has, from the Cyrus spool on this host, or with --from from another
host's backupd agent, or from Cyrus's own backupcyrusd. The server may run, and is not kept waiting. A store is made where DIR
is missing or empty, which is said on stderr. Each user's run stores what changed since the one before; one in which nothing
changed is a date all the same.

Mailboxes of no user are those of the user @shared. What could not be backed up is named on stderr: a mailbox that the
server keeps locked, a message whose file is missing or not what the server's index says (it is stored as found). A user
who fails stops no other. However many mailboxes of a user are locked, --lock-timeout is waited once; then each is only
tried for a tenth of a second.

A connection that breaks is made anew, and the run goes on. If it breaks again and again the user's run fails, and the next
user's begins; if no connection can be made for some seconds, the users that are left fail. With --tls the agent must show a
certificate for the host in ADDR that the CA in DIR/ca.pem has signed, and sees that of this side.

With --json a user is one line. With --quiet there is none, and nothing on stderr unless something is wrong.

Exit status: 0 if all was backed up; 1 if of no user a mailbox could be; 3 if some users, mailboxes or messages failed;
4 if another backup of the user is going on; 5 if a user's archive is damaged.`,
		Example: `  backupd backup --store /srv/backup
  backupd backup --store /srv/backup --imapd-conf /etc/imapd-2.conf brong cassandane
  backupd backup --store /srv/backup --at 2009-09-28T23:55:00Z brong
  backupd backup --store /srv/backup --from 127.0.0.1:2901     (an agent, through ssh -L 2901:127.0.0.1:2901 HOST)
  backupd backup --store /srv/backup --from imap1.example.com:2901 --tls /etc/backupd/tls
  backupd backup --store /srv/backup --from unix:/run/cyrus/backup.sock`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = once(args)
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runBackup(cmd, opts)
		},
	}
	addStore(cmd, &opts.store)
	flags := cmd.Flags()
	flags.StringVar(&opts.from, "from", "", "back up from the agent at `ADDR`: host:port, or unix:PATH")
	opts.tls.add(cmd)
	addConf(cmd, &opts.conf)
	flags.StringVar(&opts.at, "at", "", "record the runs as begun at `TIME` (RFC 3339), not before the last one")
	flags.DurationVar(&opts.lockTimeout, "lock-timeout", 10*time.Second, "wait so long for mailboxes that the server keeps locked, all of a user's together")
	flags.StringVar(&opts.mailboxList, "mailbox-list", source.ByMboxlist,
		"list the mailboxes by `WAY`: "+source.ByMboxlist+", the server's own tool, or "+source.BySpool+" where it cannot; "+source.BySpool+" alone")
	opts.addQuiet(cmd)
	opts.addJSON(cmd, "print one JSON object a user")
	return cmd
}

func runBackup(cmd *cobra.Command, opts backupOptions) error {
	ctx := cmd.Context()
	dir, err := storeDir("backup", opts.store, opts.users)
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
	src, from, err := openSource(cmd, opts)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	users, err := usersToBackUp(ctx, src, opts.users)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	st, err := store.Init(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.WithHint(err, "ls -ld %s (is the disk mounted? of a store's path, only the last folder is made)", cli.Shell(filepath.Dir(dir)))
	}
	if err != nil {
		return notOurs(ctx, dir, err)
	}
	unlisted := map[string]bool{}
	if len(opts.users) == 0 {
		if unlisted, err = unlistedUsers(st, users); err != nil {
			return err
		}
		users = append(users, slices.Sorted(maps.Keys(unlisted))...)
	}
	s := &backupSession{output: opts.output, st: st, src: src, at: at, unlisted: unlisted, many: len(users) > 1}
	defer s.progress.Clear()
	if st.Created {
		s.note("made a new store in %s", dir)
	}
	atATime := processors()
	if opts.from != "" {
		atATime = max(atATime, usersFromAgent)
	}
	if err := eachUser(ctx, users, atATime, s.backup, s.report); err != nil {
		return err
	}
	s.noteListing()
	s.noteUntried()
	s.total()
	return s.tally.Err()
}

// serverSource is where users are backed up from, and what it says of how it lists the mailboxes.
type serverSource interface {
	source.Source
	Listing() (by string, problems []error)
}

// openSource opens the agent, or the spool on this host; from names it.
func openSource(cmd *cobra.Command, opts backupOptions) (src serverSource, from string, err error) {
	if opts.from != "" {
		src, err := openAgent(cmd.Context(), cmd, opts.from, opts.tls, &opts.output)
		return src, "--from " + opts.from, err
	}
	if opts.tls.on() {
		return nil, "", cli.Usagef("--tls is for the connection to an agent: with --from")
	}
	if opts.lockTimeout < 0 {
		return nil, "", cli.Usagef("--lock-timeout %s: it cannot be negative", opts.lockTimeout)
	}
	local := source.LocalOptions{ConfigPath: opts.conf, LockTimeout: max(opts.lockTimeout, 1)} // 0 would be the default
	switch opts.mailboxList {
	case source.ByMboxlist:
	case source.BySpool:
		local.MboxlistCommand = source.NoMboxlist
	default:
		return nil, "", cli.Usagef("--mailbox-list %s: %s or %s", opts.mailboxList, source.ByMboxlist, source.BySpool)
	}
	src, err = openSpool(cmd.Context(), "backup", local)
	return src, opts.conf, err
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
