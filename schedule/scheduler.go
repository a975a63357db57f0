package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/backup"
	"backupfs/source"
)

// Archives are where users are backed up to: Stores.
type Archives interface {
	Roots() []string                                 // folders, on whatever file systems
	Names() ([]string, error)                        // who has a folder, sorted
	Last(ctx context.Context, user string) time.Time // when his newest run began; zero: there is none, or it cannot be known
	Backup(ctx context.Context, src source.Source, user string) (*backup.Result, error)
	Compact(ctx context.Context, user string, r Retention) (*backup.Compacted, error)
	// Scrub reads an archive and says what is damaged. progress, called often, slows it down; done ends before total.
	Scrub(ctx context.Context, user string, progress func(done, total int64)) (damage []error, err error)
	Repair(ctx context.Context, user string) (*backup.Repaired, error)
	Aside(user string) backup.Aside // damaged archives that repairs have left; nothing is known of one that cannot be looked at
	// Remove takes a user away of whom no run began after last; nil if there is nothing of him.
	Remove(ctx context.Context, user string, last time.Time) (*backup.Removed, error)
	Sweep() error // takes away what interrupted Removes left
}

// Options of a Scheduler. All but Once can be changed while it runs.
type Options struct {
	Limits
	Plan    Plan
	Once    bool // one round, now, and then Run returns
	Lists   []List
	Refresh time.Duration // how often lists are read
	Scrub   Scrub

	Retention Retention

	// Connect opens a server for a batch, which closes it. An error is the server's, and no user's.
	Connect func(ctx context.Context, server string) (source.Source, error)
	// Done, if not nil, hears of each turn that a user had. It is called by one goroutine.
	Done func(Outcome)
	// Compacted, if not nil, hears of each archive whose turn to be compacted has come. It is called by the same goroutine.
	Compacted func(Compaction)
	// Scrubbed, if not nil, hears of each archive that was read. It is called by the same goroutine.
	Scrubbed func(Scrubbed)
	// Progress, if not nil, is called once a second while something is done, by the same goroutine.
	Progress func(Report)
}

// Outcome is how a user's turn went.
type Outcome struct {
	User   User
	Result *backup.Result // of a run of ours, nil if there was none
	Err    error
	Begun  time.Time // zero if he had a run that nobody here knew of
	Took   time.Duration
	Again  bool         // it failed, and he has another turn soon
	Aside  backup.Aside // as it is after that
}

// Scheduler has users backed up when they are due.
type Scheduler struct {
	archives Archives
	log      *slog.Logger

	told    chan func()   // what workers have to tell: the goroutine of Run calls it
	options chan Options  // new ones
	loaded  chan struct{} // closed once the state is read

	// All below belongs to the goroutine of Run.
	opts    Options
	plan    Plan // of opts, or one round
	state   *state
	rows    map[string]*row
	queue   *queue
	lists   []*listing
	changed map[string]*row // since they were stored; nil: to be forgotten
	days    map[string]*Day // by their dates
	counted map[string]*Day // of them, since they were stored
	unsaved bool            // storing them failed, and that was told
	reading int             // lists
	batches int             // begun so far
	round   round
	scrubs  scrubbing

	compacting compacting
	removals   removals
	clock      clock

	troubles map[string]Trouble // by what they are about
}

// round is what was done since there was something to do.
type round struct {
	begun           time.Time // zero: there is nothing to do
	users, failures int
}

// New makes a Scheduler.
func New(archives Archives, log *slog.Logger, opts Options) *Scheduler {
	return &Scheduler{archives: archives, log: log, opts: opts, told: make(chan func()), options: make(chan Options), loaded: make(chan struct{}), clock: clock{now: time.Now},
		rows: map[string]*row{}, changed: map[string]*row{}, counted: map[string]*Day{}, troubles: map[string]Trouble{}}
}

const (
	// grace is how long users who are being backed up may go on when all is to end. Most need a second; a run that is cut off is
	// made again.
	grace = 5 * time.Second
	// storeEvery is how much of the state a crash may cost: what was done is then asked of the archives.
	storeEvery = time.Second
)

// Run works until ctx ends, or the one round is over. statePath is where it remembers; the caller holds the lock beside it. It returns
// within seconds after ctx has ended: no user begins any more, and those who are being backed up have a few seconds to be finished.
func (s *Scheduler) Run(ctx context.Context, statePath string) error {
	if err := s.load(ctx, statePath); err != nil {
		return err
	}
	defer func() { _ = s.state.close() }() // all is stored by then, or told that it is not
	s.configure(s.opts)
	close(s.loaded)
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	var group errgroup.Group
	var save, patience <-chan time.Time // when to save, and to abandon
	stop := ctx.Done()
	for {
		s.lookAtClock()
		next := earlier(s.readLists(ctx, &group), s.clock.now().Add(clockLook))
		s.compactNext(ctx, &group)
		if ctx.Err() == nil && s.haveLists() {
			next = earlier(next, s.begin(ctx, work, &group))
		}
		next = earlier(next, s.scrubNext(ctx, &group))
		next = earlier(next, s.removeNext(ctx, &group))
		if s.queue.running+s.reading+s.compacting.active == 0 && !s.scrubs.active && s.removals.row == nil && (ctx.Err() != nil || s.opts.Once && s.over()) {
			break
		}
		select {
		case tell := <-s.told:
			if tell(); len(s.changed) > 0 && save == nil {
				save = time.After(storeEvery)
			}
		case opts := <-s.options:
			opts.Once = s.opts.Once
			s.configure(opts)
		case <-s.at(next):
		case <-save:
			save = nil
			s.save()
			s.progress()
		case <-stop:
			stop, patience = nil, time.After(grace)
		case <-patience:
			abandon()
		}
	}
	s.save()
	return errors.Join(group.Wait(), s.failed())
}

// earlier is the first of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// at is told at a time.
func (s *Scheduler) at(t time.Time) <-chan time.Time { return time.After(t.Sub(s.clock.now())) }

// Configure changes the options of a Scheduler that runs. Batches that were begun end as they were.
func (s *Scheduler) Configure(ctx context.Context, opts Options) {
	select {
	case s.options <- opts:
	case <-ctx.Done():
	}
}

// load reads the state, and from the archives what it lacks.
func (s *Scheduler) load(ctx context.Context, path string) (err error) {
	var fresh bool
	if s.state, fresh, err = openState(path); err != nil {
		return err
	}
	if err := s.archives.Sweep(); err != nil {
		s.log.Warn("what is left of removed users cannot be taken away", "error", err)
	}
	rows, err := s.state.load()
	if err == nil {
		s.days, err = s.state.days()
	}
	var names []string
	if err == nil {
		names, err = s.archives.Names()
	}
	if err != nil {
		return errors.Join(err, s.state.close())
	}
	was, err := s.state.alive()
	if err != nil {
		return errors.Join(err, s.state.close())
	}
	for _, r := range rows {
		if _, stored := slices.BinarySearch(names, r.Name); !stored && !r.listed {
			s.changed[r.Name] = nil // his archive was removed
			continue
		}
		s.rows[r.Name] = r
	}
	s.goneLater(away(was, s.clock.now(), s.opts.Retention.Deleted))
	var unknown []*row
	for _, name := range names {
		if s.rows[name] == nil {
			unknown = append(unknown, &row{User: User{Name: name}})
		}
	}
	if fresh && len(unknown) > 0 {
		s.log.Info("reading from the archives when each user's last run was", "users", len(unknown))
	}
	var group errgroup.Group
	group.SetLimit(max(s.opts.Workers, 1))
	for _, r := range unknown {
		s.rows[r.Name], s.changed[r.Name] = r, r
		group.Go(func() error {
			if ctx.Err() == nil {
				r.last = s.archives.Last(ctx, r.Name)
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, s.state.close())
	}
	return nil
}

// configure begins to go by options. Users in batches are queued when these end.
func (s *Scheduler) configure(opts Options) {
	s.opts, s.plan = opts, opts.Plan
	if opts.Once {
		s.plan.once = s.clock.now()
		s.opts.Scrub = Scrub{} // there is no end of that
	}
	s.scrubs.configure(s.opts.Scrub)
	s.removals.next = time.Time{}
	s.lists = nil
	for _, l := range opts.Lists {
		s.lists = append(s.lists, &listing{List: l})
	}
	if s.queue == nil {
		s.queue = newQueue(opts.Limits)
	}
	s.queue.Limits = opts.Limits
	for _, r := range s.rows {
		if r.listed && !s.covered(r) {
			r.listed = false
			s.changed[r.Name] = r
		}
	}
	s.requeue()
	clear(s.troubles) // of servers and lists that may be others now
	s.keep()
}

// requeue asks of all who are queued when they are due.
func (s *Scheduler) requeue() {
	queued := make([]*row, 0, len(s.rows))
	for _, r := range s.rows {
		if r.listed && !r.running {
			queued = append(queued, r)
		}
	}
	for _, u := range s.queue.units {
		u.queued, u.next = nil, time.Time{}
	}
	slices.SortFunc(queued, byAge)
	for _, r := range queued {
		s.enqueue(r)
	}
}

// covered says that there is a list which could have a user.
func (s *Scheduler) covered(r *row) bool {
	return slices.ContainsFunc(s.lists, func(l *listing) bool { return l.Server == "" || l.Server == r.Server })
}

func (s *Scheduler) enqueue(r *row) {
	r.due = r.dueAt(s.plan, s.opts.Retries, s.clock.now())
	s.queue.put(r)
}

// retry lets a user who failed begin anew.
func (s *Scheduler) retry(r *row) {
	queued := r.listed && !r.running
	if queued {
		s.queue.remove(r)
	}
	if r.tries, r.reason = 0, ""; queued {
		s.enqueue(r)
	}
}

// save stores what changed. It is a cache: that it cannot be stored is told, and holds up nobody.
func (s *Scheduler) save() {
	err := s.state.store(s.changed, s.counted, s.clock.now())
	if err == nil {
		clear(s.changed)
		clear(s.counted)
	} else if !s.unsaved {
		s.log.Error("what was done is not remembered for backupd status", "error", err)
	}
	s.unsaved = err != nil
}

func (s *Scheduler) progress() {
	if s.opts.Progress != nil {
		s.opts.Progress(s.report())
	}
}

func (s *Scheduler) report() Report { return report(s.rows, s.days, s.settings(), s.clock.now()) }

// ErrLoading: the state is still being read, or made again from the archives.
var ErrLoading = errors.New("it is still finding out when each user was backed up last")

// Report asks a Scheduler that runs how it stands.
func (s *Scheduler) Report(ctx context.Context) (r Report, err error) {
	err = s.ask(ctx, func() { r = s.report() })
	return r, err
}

// ask has the goroutine of Run answer a question. Nobody is handed out meanwhile, so it must be quick.
func (s *Scheduler) ask(ctx context.Context, question func()) error {
	select {
	case <-s.loaded:
	default:
		return ErrLoading
	}
	answered := make(chan struct{})
	select {
	case s.told <- func() { question(); close(answered) }:
		<-answered
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// over says that the one round is: of nobody the turn is still to come.
func (s *Scheduler) over() bool {
	if !s.haveLists() {
		return false
	}
	for _, u := range s.queue.units {
		for _, r := range u.queued {
			if r.due.Before(never) {
				return false
			}
		}
	}
	return true
}

// failed is the error of a round for which there was no list.
func (s *Scheduler) failed() error {
	if !s.opts.Once {
		return nil
	}
	var errs []error
	for _, l := range s.lists {
		if l.err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrList, l.err))
		}
	}
	return errors.Join(errs...)
}
