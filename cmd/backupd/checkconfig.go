package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/source"
)

type checkConfigOptions struct {
	output
	path string
}

func newCheckConfig() *cobra.Command {
	var opts checkConfigOptions
	cmd := &cobra.Command{
		Use:   "check-config FILE",
		Short: "Check a configuration of backupd serve",
		Long: `Check a configuration of backupd serve: first what stands in it, then what it names. The stores are looked for, the servers
opened, and the lists of users read. Nothing is changed.

What is wrong in FILE is named with its line; of keys that are not known, the one that was perhaps meant.

Exit status: 0 if all is right; 1 if something that it names cannot be had; 2 if FILE itself is wrong.`,
		Example: `  backupd check-config /etc/backupd/backupd.toml`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.path = args[0]
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runCheckConfig(cmd.Context(), opts)
		},
	}
	opts.addQuiet(cmd)
	return cmd
}

func runCheckConfig(ctx context.Context, opts checkConfigOptions) error {
	c, err := loadConfig(&opts.output, opts.path)
	if err != nil {
		return err
	}
	wrong := 0
	fail := func(err error) {
		opts.fail(err)
		wrong++
	}
	for _, root := range c.Stores {
		_, err := store.Open(root)
		if errors.Is(err, store.ErrNotStore) {
			err = cli.WithHint(err, "ls -ld %s (is its disk mounted? a new one: backupd serve --make-stores)", cli.Shell(root))
		}
		if err != nil {
			fail(err)
		}
	}
	srv := &servers{conf: c.Servers, local: map[string]*source.Local{}}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		src, err := srv.connect(ctx, name)
		if err != nil {
			fail(fmt.Errorf("server %s: %w", name, err))
			continue
		}
		_ = src.Close() // it was only tried
		if secured := (tlsOptions{c.Servers[name].TLS}); secured.on() {
			secured.warn(&opts.output)
		}
	}
	for _, l := range lists(c, srv.connect) {
		users, err := l.Users(ctx)
		if err == nil && len(users) == 0 {
			err = errors.New("it is empty")
		}
		if err != nil {
			fail(fmt.Errorf("list of users: %w", err))
			continue
		}
		unknown := map[string]int{}
		for _, u := range users {
			if _, ok := c.Servers[u.Server]; !ok {
				unknown[u.Server]++
			}
		}
		for name, n := range unknown {
			fail(fmt.Errorf("list of users: %s on server %q, which is not in the configuration", plural(n, "user"), name))
		}
		opts.say("%s%s", plural(len(users), "user"), onServer(l.Server))
	}
	if wrong > 0 {
		return fmt.Errorf("%s: %s of what it names cannot be had", opts.path, plural(wrong, "thing"))
	}
	opts.say("all is right; %s", c.Plan.Explain())
	return nil
}

func onServer(name string) string {
	if name == "" {
		return ""
	}
	return " on " + name
}
