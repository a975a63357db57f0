package main

import (
	"context"
	"path/filepath"
	"strings"

	"backupfs/cmd/internal/cli"
	"backupfs/restore"
	"backupfs/source"
)

// extras are what --with says.
func (opts *restoreOptions) extras() (with restore.With, err error) {
	if opts.with == "" {
		return with, nil
	}
	if with, err = restore.ParseWith(opts.with); err != nil {
		return with, cli.Usagef("--with: %v", err)
	}
	switch {
	case strings.Contains(opts.to, ":"):
		err = cli.Usagef("--with is about the live mail, and --to %s has no room for it", opts.to)
	case with.Seen && opts.imap.url != "":
		err = cli.Usagef("--with seen: IMAP does not tell what was seen in others' folders; the messages themselves come with \\Seen")
	}
	return with, err
}

// live is the user's live mail.
type live interface {
	restore.Sink
	Held(context.Context) (restore.Held, error)
}

// openLive opens the live mail, on this host or by IMAP; done closes it.
func (opts *restoreOptions) openLive(ctx context.Context, date string) (mail live, done func(), err error) {
	below, user := "", opts.liveUser()
	if opts.to == "restored" {
		below = "RESTORED." + date
	}
	if opts.imap.url != "" {
		mail, err := opts.imap.open(ctx, user, below)
		if err != nil {
			return nil, nil, err
		}
		return mail, mail.Close, nil
	}
	src, err := openSpool(ctx, "restore", source.LocalOptions{ConfigPath: opts.conf})
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = src.Close() }
	if mail, err = restore.NewSpool(ctx, src, restore.Live{User: user, Was: opts.user, Below: below}); err != nil {
		done()
		return nil, nil, err
	}
	return mail, done, nil
}

// files is the place of files that --to names, nil if it is the live mail.
func (opts *restoreOptions) files() (restore.Sink, error) {
	kind, path, _ := strings.Cut(opts.to, ":")
	root := filepath.Clean(path)
	switch {
	case opts.to == "restored" || opts.to == "original":
		return nil, nil
	case kind == "dir" && path != "":
		return restore.Dir{Root: root}, nil
	case kind == "maildir" && path != "":
		return restore.Maildir{Root: root}, nil
	case kind == "mbox" && path != "":
		return restore.Mbox{Root: root}, nil
	}
	if strings.HasPrefix(kind, "imap") {
		return nil, cli.WithHint(cli.Usagef("--to %s: IMAP is a way to the live mail, which is original or restored", kind), "--to original --imap imaps://ADMIN@HOST --password-file FILE")
	}
	return nil, cli.Usagef("--to %s: it is none of restored, original, dir:PATH, maildir:PATH, mbox:PATH", opts.to)
}
