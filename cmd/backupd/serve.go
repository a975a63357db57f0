package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/managed"
	"backupfs/lock"
	"backupfs/schedule"
	"backupfs/schedule/config"
)

type serveOptions struct {
	output
	config     string
	store      string
	conf       string
	once       bool
	makeStores bool
}

func newServe() *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve [--once] --config FILE | --store DIR",
		Short: "Back all users up when they are due",
		Long: `Back users up when they are due: several at a time, in batches of users of one drive unit, so that no drive unit has
more than its share to do; the one longest without a backup first. FILE says who they are, where, and when; docs/serve.md
explains it. Without it, these are all users of the Cyrus server on this host, each of whom gets a backup a day.

It runs until SIGTERM, and reads FILE anew at SIGHUP. With --once, each user has one turn, now, and it ends. It goes on where it
was however it ended; backupd status says how it stands. One process may do so for a store at a time.

Archives are read again in the background, and those that are damaged are repaired, not with --once.

A user who fails holds up no other. He is tried again, later and later; then it is told, and he waits for the next round. Users who
are no longer in the list keep what was backed up of them, for as long as FILE says.

With DIR, a store is made where that is missing or empty, as backupd backup does. The stores that FILE names must be there,
lest an empty folder where a disk should be mounted becomes one; --make-stores makes them.

Exit status: 0 if it was ended by a signal, or with --once if all was backed up; 1 if it failed; 2 if FILE is wrong; with --once, 3 if some
users or messages failed, 5 if a user's archive is damaged; 4 if another process does the same for the store.`,
		Example: `  backupd serve --once --store /srv/backup
  backupd serve --config /etc/backupd/backupd.toml
  kill -HUP $(pidof backupd)     (read the configuration anew)`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(opts.start(cmd), notWithConfig(cmd, "store", "imapd-conf")); err != nil {
				return err
			}
			return runServe(cmd.Context(), opts)
		},
	}
	addConfig(cmd, &opts.config)
	addStore(cmd, &opts.store)
	addConf(cmd, &opts.conf)
	flags := cmd.Flags()
	flags.BoolVar(&opts.once, "once", false, "one round, now: each user has one turn")
	flags.BoolVar(&opts.makeStores, "make-stores", false, "make the stores that FILE names and that are not there")
	opts.addQuiet(cmd)
	return cmd
}

func runServe(ctx context.Context, opts serveOptions) error {
	manager, err := managed.Find() // before any file is opened
	if err != nil {
		return err
	}
	c, err := opts.load()
	if err != nil {
		return err
	}
	stores, err := openStores(&opts.output, c.Stores, opts.config == "" || opts.makeStores)
	if err != nil {
		return err
	}
	release, err := lock.File(filepath.Join(c.Stores[0], schedule.LockName))
	if err != nil {
		return cli.WithHint(err, "backupd status --store %s", cli.Shell(c.Stores[0]))
	}
	defer func() { _ = release() }()
	s := newServing(&opts, c.Log)
	options, err := s.options(c)
	if err != nil {
		return err
	}
	ln, err := listenHTTP(ctx, c.HTTP.Listen)
	if err != nil {
		return err
	}
	scheduler := schedule.New(stores, s.log, options)
	running, stop := context.WithCancel(ctx)
	var group errgroup.Group
	if opts.config != "" {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		group.Go(func() error {
			s.reload(running, hangups, c, scheduler)
			return nil
		})
	}
	if ln != nil {
		s.log.Info("serving the page, metrics and health", "address", ln.Addr().String())
		group.Go(func() error {
			s.serveHTTP(running, ln, scheduler, stores)
			return nil
		})
	}
	group.Go(func() error {
		s.supervise(running, manager, scheduler)
		return nil
	})
	err = scheduler.Run(ctx, filepath.Join(c.Stores[0], schedule.StateName))
	stop()
	opts.progress.Clear()
	err = errors.Join(err, group.Wait())
	switch {
	case !opts.once || err != nil && !errors.Is(err, schedule.ErrList):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && s.turns == 0:
		return err
	case err != nil:
		s.tally.Incomplete() // the list from before was used
	}
	return s.tally.Err()
}

// reload reads the configuration anew at each hangup. One that is wrong changes nothing.
func (s *serving) reload(ctx context.Context, hangups <-chan os.Signal, first config.Config, scheduler *schedule.Scheduler) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		c, err := config.Load(s.opts.config)
		var options schedule.Options
		if err == nil {
			options, err = s.options(c)
		}
		if err != nil {
			s.log.Error("the configuration is not read anew; the one from before is used", "error", err)
			continue
		}
		if !slices.Equal(c.Stores, first.Stores) || c.Log.Format != first.Log.Format || c.HTTP != first.HTTP {
			s.log.Warn("other stores, another address to listen on, or another format of the log, are used after a restart only")
		}
		scheduler.Configure(ctx, options)
		s.log.Info("the configuration was read anew", "file", s.opts.config)
	}
}

// done counts the turns.
func (s *serving) done(o schedule.Outcome) {
	s.metrics.count(o)
	if o.Again {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns++
	s.tally.Add(o.Err, o.Result != nil && (len(o.Result.Problems) > 0 || o.Result.Index != nil))
}

// compacted counts the turns of archives.
func (s *serving) compacted(o schedule.Compaction) {
	s.metrics.compacted(o)
	if o.Err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tally.Incomplete()
	}
}

// summary is one line about how it stands.
func summary(r schedule.Report) string {
	failed, ends := 0, ""
	for _, u := range r.Units {
		failed += u.Failed
	}
	if r.Ends != nil {
		ends = fmt.Sprintf(", %.1f a second, until about %s", r.PerSecond, r.Ends.Local().Format("15:04"))
	}
	return fmt.Sprintf("%d of %s, %d failed%s", r.Users()-r.Due, plural(r.Users(), "user"), failed, ends)
}
