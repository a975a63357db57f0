package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/lock"
	"backupfs/source"
)

// turnTaken is what the record says of one run.
type turnTaken struct {
	user       User
	connection int
	began, end time.Time
	done       bool
}

// fakes are servers, archives and lists whose users take their time, and a record of who ran when.
type fakes struct {
	mu          sync.Mutex
	users       []User
	took        func(User) time.Duration
	failing     func(User, time.Time) error
	lacking     map[string]bool // users of whom not all can be backed up
	away        func(server string, now time.Time) error
	listFailing error

	compacting   int      // archives, just now
	mostAtOnce   int      // that were compacted
	compacted    []string // in their order
	compactTakes time.Duration
	notCompacted error
	size         int64           // of an archive
	damaged      map[string]bool // archives
	aside        map[string]backup.Aside
	read         []string // that were scrubbed, in this order
	readAt       map[string][]time.Time

	removed map[string]time.Time // when
	removes time.Duration        // takes so long
	stuck   error                // why nobody can be removed

	runs        map[string][]time.Time // the archives: when each user's runs began
	now         map[string]bool        // who is being backed up
	record      []turnTaken
	connections int
	twice       error
	ahead       time.Duration // the clock that the Scheduler sees
}

func newFakes(users ...User) *fakes {
	return &fakes{
		users: users, size: 1000, runs: map[string][]time.Time{}, now: map[string]bool{}, damaged: map[string]bool{}, aside: map[string]backup.Aside{}, readAt: map[string][]time.Time{},
		removed: map[string]time.Time{}, compactTakes: time.Second,
		took:    func(User) time.Duration { return time.Second },
		failing: func(User, time.Time) error { return nil },
		away:    func(string, time.Time) error { return nil },
	}
}

// connected is a connection.
type connected struct {
	source.Source
	number int
}

func (connected) Close() error { return nil }

func (f *fakes) connect(_ context.Context, server string) (source.Source, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connections++
	return connected{number: f.connections}, f.away(server, time.Now())
}

func (f *fakes) list(context.Context) ([]User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.users), f.listFailing
}

func (*fakes) Roots() []string { return nil }

func (f *fakes) Names() ([]string, error) { return slices.Sorted(maps.Keys(f.runs)), nil }

func (f *fakes) Last(_ context.Context, user string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.runs[user]); n > 0 {
		return f.runs[user][n-1]
	}
	return time.Time{}
}

func (f *fakes) Backup(ctx context.Context, src source.Source, name string) (*backup.Result, error) {
	f.mu.Lock()
	if f.now[name] {
		f.twice = errors.Join(f.twice, fmt.Errorf("%s is backed up twice at a time", name))
	}
	f.now[name] = true
	user := f.users[slices.IndexFunc(f.users, func(u User) bool { return u.Name == name })]
	began, took := time.Now(), f.took(user)
	f.mu.Unlock()
	var err error
	select {
	case <-time.After(took):
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.now, name)
	if err == nil {
		err = f.failing(user, time.Now())
	}
	f.record = append(f.record, turnTaken{user, src.(connected).number, began, time.Now(), err == nil})
	if err != nil {
		return nil, err
	}
	begun := began.Add(f.ahead).UTC().Truncate(time.Second)
	f.runs[name] = append(f.runs[name], begun)
	result := &backup.Result{Run: archive.Run{Marker: archive.Marker{Begun: begun}}, Current: 1}
	if f.lacking[name] {
		result.Problems = []backup.Problem{{Folder: "INBOX", UID: 7, Err: backup.ErrMismatch}}
	}
	return result, nil
}

func (f *fakes) Compact(ctx context.Context, name string, _ Retention) (*backup.Compacted, error) {
	f.mu.Lock()
	if f.now[name] {
		f.twice = errors.Join(f.twice, fmt.Errorf("%s is compacted while he is backed up", name))
	}
	f.now[name], f.compacting = true, f.compacting+1
	f.mostAtOnce = max(f.mostAtOnce, f.compacting)
	f.mu.Unlock()
	var err error
	select {
	case <-time.After(f.compactTakes):
		err = f.notCompacted
	case <-ctx.Done():
		err = ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.now, name)
	f.compacting, f.compacted = f.compacting-1, append(f.compacted, name)
	return &backup.Compacted{Path: "archive"}, err
}

func (f *fakes) Scrub(ctx context.Context, name string, progress func(done, total int64)) ([]error, error) {
	for done := int64(0); done < f.size; done += 1 + f.size/10 {
		progress(done, f.size)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = append(f.read, name)
	f.readAt[name] = append(f.readAt[name], time.Now())
	if f.damaged[name] {
		return []error{fmt.Errorf("INBOX: message 7: %w", archive.ErrDamaged)}, nil
	}
	return nil, nil
}

func (f *fakes) Repair(_ context.Context, name string) (*backup.Repaired, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.damaged, name)
	f.aside[name] = backup.Aside{Files: 1 + f.aside[name].Files, Bytes: f.size + f.aside[name].Bytes}
	return &backup.Repaired{Lost: []backup.Lost{{Name: "files/7"}}}, nil
}

func (f *fakes) Aside(name string) backup.Aside {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.aside[name]
}

func (f *fakes) Remove(ctx context.Context, name string, last time.Time) (*backup.Removed, error) {
	select {
	case <-time.After(f.removes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.runs[name])
	switch {
	case f.stuck != nil:
		return nil, f.stuck
	case n == 0:
		return nil, nil
	case f.now[name]:
		return nil, lock.ErrBusy
	case f.runs[name][n-1].After(last):
		return nil, backup.ErrNewer
	}
	delete(f.runs, name)
	f.removed[name] = time.Now()
	return &backup.Removed{Runs: n, Last: last, Bytes: f.size}, nil
}

func (*fakes) Sweep() error { return nil }

// check says how the record breaks the limits.
func (f *fakes) check(l Limits) error {
	errs := []error{f.twice}
	connections := map[int][]turnTaken{}
	for _, t := range f.record {
		connections[t.connection] = append(connections[t.connection], t)
	}
	type span struct {
		user       User
		began, end time.Time
	}
	var spans []span
	for _, turns := range connections {
		for _, t := range turns {
			if t.user.Unit != turns[0].user.Unit || t.user.Server != turns[0].user.Server {
				errs = append(errs, fmt.Errorf("a batch has users of %v and %v", t.user, turns[0].user))
			}
		}
		if len(turns) > l.Batch {
			errs = append(errs, fmt.Errorf("a batch of %d", len(turns)))
		}
		spans = append(spans, span{turns[0].user, turns[0].began, turns[len(turns)-1].end})
	}
	for _, s := range spans {
		all, ofServer, ofUnit := 0, 0, 0
		for _, o := range spans {
			if o.began.After(s.began) || !o.end.After(s.began) {
				continue
			}
			all++
			if o.user.Server == s.user.Server {
				ofServer++
				if o.user.Unit == s.user.Unit {
					ofUnit++
				}
			}
		}
		if all > l.Workers || ofServer > l.PerServer || ofUnit > l.PerDriveUnit {
			errs = append(errs, fmt.Errorf("at %s there are %d batches, %d of %s, %d of %s", s.began, all, ofServer, s.user.Server, ofUnit, s.user.Unit))
		}
	}
	return errors.Join(errs...)
}

func (f *fakes) options(l Limits, p Plan) Options {
	return Options{Limits: l, Plan: p, Lists: []List{{Users: f.list}}, Refresh: 15 * time.Minute, Connect: f.connect}
}

func statePath(t *testing.T) string { return filepath.Join(t.TempDir(), "schedule.sqlite3") }

// scheduler is one with the fakes' clock, which can be put forward and back.
func (f *fakes) scheduler(opts Options) *Scheduler {
	s := New(f, slog.New(slog.DiscardHandler), opts)
	s.clock.now = f.clock
	return s
}

func (f *fakes) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ahead == 0 {
		return time.Now()
	}
	return time.Now().Round(0).Add(f.ahead)
}

// setClock puts it forward or back.
func (f *fakes) setClock(ahead time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ahead = ahead
}

// mustRun runs a Scheduler until the deadline, or the end of the one round.
func (f *fakes) mustRun(t testing.TB, path string, opts Options, deadline time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := f.scheduler(opts).Run(ctx, path); err != nil {
		t.Fatal(err)
	}
}

// mustStart lets a Scheduler run until the test ends it.
func (f *fakes) mustStart(t testing.TB, path string, opts Options) (s *Scheduler, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s = f.scheduler(opts)
	var group errgroup.Group
	group.Go(func() error { return s.Run(ctx, path) })
	return s, func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}
}
