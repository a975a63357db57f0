package main

import (
	"context"
	"errors"
	"fmt"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
	"backupfs/history"
	"backupfs/internal/store"
)

// onPast asks about all dates of a user of a store.
func onPast(ctx context.Context, o *output, verb string, in *anyStore, user string, ask func(p *history.Past) error) error {
	st, err := in.open(ctx, verb, []string{user})
	if err != nil {
		return err
	}
	u, err := st.User(user)
	if err != nil {
		return err
	}
	err = askPast(ctx, o, st, u, ask)
	o.progress.Clear()
	if errors.Is(err, history.ErrNoDate) {
		err = cli.WithHint(err, "backupd list --store %s %s", cli.Shell(st.Root), cli.Shell(user))
	}
	return explain(st, u, err)
}

func askPast(ctx context.Context, o *output, st *store.Store, u store.User, ask func(p *history.Past) error) error {
	if err := o.ready(ctx, st, u); err != nil {
		return err
	}
	p, err := history.Open(ctx, u)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	if len(p.Runs) == 0 {
		return errNoRun
	}
	if err := ask(p); err != nil {
		return err
	}
	if len(p.Damaged) == 0 {
		return nil
	}
	for _, err := range p.Damaged {
		o.note("%s: %v", u.Name, err)
	}
	return fmt.Errorf("%w: what is named above is left out", archive.ErrDamaged)
}
