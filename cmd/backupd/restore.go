package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/cyrus"
	"backupfs/internal/store"
	"backupfs/match"
	"backupfs/restore"
)

type restoreOptions struct {
	output
	store   anyStore
	user    string
	date    string
	folders []string
	uids    string
	match   string
	to      string
	toUser  string
	conf    string
	imap    imapOptions
	missing bool
	with    string
	dryRun  bool
	wait    bool
}

func newRestore() *cobra.Command {
	var opts restoreOptions
	cmd := &cobra.Command{
		Use:   "restore --store DIR USER",
		Short: "Bring a user's mail of a date back",
		Long: `Bring mail back as it was on a date of the tree (--date, in UTC; the newest without it): all that IMAP showed, or the folders
that are named, with those below them, by their names in the tree (INBOX/Contracts, .deleted/Old). Of these, the
messages with the UIDs of --uid (17 or 3:5,9), and those that are as --match says, all terms together:

  from:x to:x cc:x subject:"x y" message-id:x   the header holds it, in any case
  since:2026-11-01 before:2026-11-08            the internal date, in UTC
  larger:10M smaller:5000                       bytes
  flag:flagged flag:$Label1

PLACE (--to) is one of

  restored      the user's live mail on this host's Cyrus server, in new folders below RESTORED/DATE; the default
  original      the user's live mail, where it was: a folder that is gone is made again, with its UIDs; into one that is there
                its messages are merged under Cyrus's own locks, with flags and dates, under new UIDs. Where none has its name
                and it was only renamed or moved, that is the one
  dir:PATH      a folder of files, as the tree: PATH/INBOX/Contracts/17.eml, with their internal dates
  maildir:PATH  a Maildir++, with flags, and without keywords
  mbox:PATH     a file a folder, PATH/INBOX/Contracts.mbox, in the form mboxrd, without flags; one that is there is refused

With --imap, the live mail is that of any IMAP server, on any host, and messages are appended with their flags and dates, under
new UIDs: imaps://ADMIN@HOST[:PORT] is TLS at once, imap:// TLS by STARTTLS; the certificate must be good for HOST, for the
system's authorities or those in the file of the variable SSL_CERT_FILE. Only a loopback address is spoken to without. ADMIN
acts for the user by proxy authorisation (in Cyrus: one of admins, in imapd.conf); without "ADMIN@" it is the user himself.
Messages as long as one that is restored are read from the server, to compare their digests.

With --with, the live mail gets back, too, where it has not got it: subscriptions; seen, what the user has seen in others'
folders (not with --imap, which tells it of none); annotations, the METADATA of folders (with --imap, what is shared or the
user's own). Annotations of messages come with these, but not with --imap.

Nothing that is there is deleted or written over. What the place has already is left out, compared by SHA-1, so what was
interrupted goes on when it is called again, and called twice it adds nothing. With --missing, what any of the user's live
folders has is left out, too. Without --imap, the server needs Cyrus 3.6 or later where folders are made, for its reconstruct -P.

When the live mail on this host has its messages again, the command ends, and the server's own tools fill its cache and count the
quota, in the background, one call at a time: "backupd finish", which tells syslog if it fails. With --wait the command itself does that.

Exit status: 0 if all was brought back; 1 if nothing could be; 2 for what makes no sense; 3 if some messages or folders could
not be; 5 if the archive is damaged where it was read.`,
		Example: `  backupd restore --store /srv/backup brong --date 2026-11-16 --folder INBOX/Contracts
  backupd restore --store /srv/backup brong --date 2026-11-16 --missing --to original
  backupd restore --store /srv/backup brong --match 'from:bank since:2026-10-01' --to maildir:/home/brong/Maildir --dry-run
  backupd restore --store /srv/backup brong --missing --imap imaps://cyrus@imap.example.org --password-file /etc/backupd/imap`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user = args[0]
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runRestore(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&opts.date, "date", "", "the `DATE` of the tree, as 2026-11-16 or 2026-11-16T1105Z (default: the newest)")
	flags.StringArrayVar(&opts.folders, "folder", nil, "only `FOLDER`, and those below it; can be given again")
	flags.StringVar(&opts.uids, "uid", "", "only these `UIDS`, as 17 or 3:5,9")
	flags.StringVar(&opts.match, "match", "", "only messages that are as `TERMS` say")
	flags.StringVar(&opts.to, "to", "restored", "bring them to `PLACE`")
	flags.StringVar(&opts.with, "with", "", "bring this back, too: `WHAT` is a list with commas of subscriptions, seen, annotations")
	flags.StringVar(&opts.toUser, "to-user", "", "the live mail is that of `NAME`: the user was renamed")
	flags.BoolVar(&opts.missing, "missing", false, "only what none of the user's live folders has")
	addConf(cmd, &opts.conf)
	opts.imap.add(cmd)
	flags.BoolVar(&opts.wait, "wait", false, "wait for what the server has to do behind it, and say how that ended")
	flags.BoolVar(&opts.dryRun, "dry-run", false, "say what would be brought back, and change nothing")
	opts.addQuiet(cmd)
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

func runRestore(ctx context.Context, opts restoreOptions) error {
	st, err := opts.store.open(ctx, "restore", []string{opts.user})
	if err != nil {
		return err
	}
	if err := opts.imap.check(opts.to, opts.missing); err != nil {
		return err
	}
	sel := restore.Selection{Folders: opts.folders}
	if opts.uids != "" {
		uids, err := cyrus.ParseUIDSet(opts.uids)
		if err != nil {
			return cli.Usagef("--uid: %v", err)
		}
		sel.UIDs = &uids
	}
	if opts.match != "" {
		if sel.Match, err = match.Parse(opts.match, time.UTC); err != nil {
			return cli.Usagef("--match: %v", err)
		}
	}
	with, err := opts.extras()
	if err != nil {
		return err
	}
	users, err := selectUsers(st, []string{opts.user})
	if err != nil {
		return err
	}
	result, err := opts.run(ctx, st, users[0], &sel, with)
	opts.progress.Clear()
	if result != nil && len(result.Left) > 0 && !opts.wait {
		if behind := finishBehind(ctx, opts.conf, opts.liveUser(), result.Left); behind != nil {
			result.Unfinished = fmt.Errorf("messages are back, and the server's cache of them is not made (backupd finish %s): %w", cli.Shell(opts.liveUser()), behind)
		}
	}
	return opts.report(result, explain(st, users[0], err))
}

func (opts *restoreOptions) run(ctx context.Context, st *store.Store, u store.User, sel *restore.Selection, with restore.With) (*restore.Result, error) {
	files, err := opts.files()
	if err != nil {
		return nil, err
	}
	if err := opts.ready(ctx, st, u); err != nil {
		return nil, err
	}
	d, err := restore.Open(ctx, u, opts.date)
	if err != nil {
		if errors.Is(err, restore.ErrNoDate) {
			err = cli.WithHint(err, "backupd list --store %s %s", cli.Shell(st.Root), cli.Shell(u.Name))
		}
		return nil, err
	}
	defer func() { _ = d.Close() }()
	o := restore.Options{With: with, DryRun: opts.dryRun, Finish: opts.wait, Progress: func(folder string, messages int, bytes int64) {
		opts.progress.Show("%s: %s (%s)", folder, plural(messages, "message"), size(bytes))
	}}
	if files != nil && !opts.missing {
		return restore.Run(ctx, d, sel, files, o)
	}
	mail, done, err := opts.openLive(ctx, d.Run.Date)
	if err != nil {
		return nil, err
	}
	defer done()
	if opts.missing {
		o.Held = mail.Held
	}
	if files != nil {
		return restore.Run(ctx, d, sel, files, o)
	}
	return restore.Run(ctx, d, sel, mail, o)
}

// liveUser is whose live mail it is.
func (opts *restoreOptions) liveUser() string { return cmp.Or(opts.toUser, opts.user) }
