package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"backupfs/cmd/internal/cli"
	"backupfs/schedule"
	"backupfs/schedule/config"
	"backupfs/schedule/roster"
	"backupfs/source"
)

// serving is what a configuration is made into: servers, lists, and a log.
type serving struct {
	opts    *serveOptions
	log     *slog.Logger
	level   slog.LevelVar
	metrics *metrics

	mu    sync.Mutex      // guards all below
	told  map[string]bool // problems of servers' lists
	turns int             // of the one round
	tally cli.Tally       // of it
}

func newServing(opts *serveOptions, l config.Log) *serving {
	s := &serving{opts: opts, metrics: newMetrics(), told: map[string]bool{}}
	var handler slog.Handler = slog.NewTextHandler(clearing{&opts.output}, &slog.HandlerOptions{Level: &s.level})
	if l.Format == "json" {
		handler = slog.NewJSONHandler(clearing{&opts.output}, &slog.HandlerOptions{Level: &s.level})
	}
	s.log = slog.New(handler)
	return s
}

// clearing writes to stderr, where the progress is, too.
type clearing struct{ *output }

func (c clearing) Write(p []byte) (int, error) {
	c.progress.Clear()
	return c.stderr.Write(p)
}

// options are what a configuration says to the Scheduler.
func (s *serving) options(c config.Config) (schedule.Options, error) {
	if err := s.level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return schedule.Options{}, err
	}
	if s.opts.quiet {
		s.level.Set(max(s.level.Level(), slog.LevelWarn))
	}
	pins, err := pinsPerClient(c.Limits.Workers)
	if err != nil {
		return schedule.Options{}, err
	}
	s.tellExpiring(c.Servers)
	srv := &servers{conf: c.Servers, pins: pins, local: map[string]*source.Local{}}
	o := schedule.Options{Limits: c.Limits, Plan: c.Plan, Once: s.opts.once, Refresh: c.Users.Refresh, Connect: srv.connect, Retention: c.Retention, Scrub: c.Scrub}
	o.Lists = lists(c, func(ctx context.Context, name string) (source.Source, error) {
		src, err := srv.open(ctx, name)
		return listing{src, s, name}, err
	})
	o.Done, o.Compacted, o.Scrubbed = s.done, s.compacted, s.metrics.scrubbed
	if s.opts.once {
		o.Progress = func(r schedule.Report) { s.opts.progress.Show("%s", summary(r)) }
	}
	return o, nil
}

// tellExpiring tells which certificates have not long to go.
func (s *serving) tellExpiring(all map[string]config.Server) {
	for name, conf := range all {
		if secured := (tlsOptions{conf.TLS}); secured.on() {
			if err := secured.files().Expiring(); err != nil {
				s.log.Warn("certificate", "server", name, "error", err)
			}
		}
	}
}

// lists are where the users come from.
func lists(c config.Config, connect connector) []schedule.List {
	var users func(context.Context) ([]schedule.User, error)
	switch c.Users.Driver {
	case config.Servers:
		var all []schedule.List
		for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
			all = append(all, schedule.List{Server: name, Users: roster.Server(name, connect)})
		}
		return all
	case config.File:
		users = roster.File(c.Users.File)
	default:
		users = roster.SQL(c.Users.Driver, c.Users.DSN.Secret, c.Users.Query)
	}
	if len(c.Servers) == 1 {
		for name := range c.Servers {
			users = roster.OnlyServer(name, users)
		}
	}
	return []schedule.List{{Users: users}}
}

// listing is a server that was opened for its list of mailboxes: what was odd about that is told when it is closed.
type listing struct {
	serverSource
	*serving
	server string
}

// Close tells each thing once: a mailbox may be missing in the list.
func (l listing) Close() error {
	by, problems := l.Listing()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range problems {
		text := l.server + ": " + err.Error()
		if l.told[text] {
			continue
		}
		l.told[text] = true
		level := slog.LevelInfo
		if !errors.Is(err, source.ErrNoTool) {
			level = slog.LevelWarn
			l.tally.Incomplete()
		}
		l.log.Log(context.Background(), level, "list of mailboxes", "server", l.server, "by", by, "error", err)
	}
	return l.serverSource.Close()
}
