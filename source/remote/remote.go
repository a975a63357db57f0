package remote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"backupfs/lock"
	"backupfs/source"
)

// Dial makes a connection.
type Dial func(context.Context) (net.Conn, error)

// Options of a source. Zero values are defaults.
type Options struct {
	Plain   bool          // do without the extension, also where it is offered
	Silence time.Duration // how long an answer may be waited for; default DefaultSilence
}

var (
	// ErrUnreachable: no connection can be had any more. It wraps source.ErrLost.
	ErrUnreachable = fmt.Errorf("%w: the server cannot be reached any more", source.ErrLost)
	// ErrNotAgent: something else answers there.
	ErrNotAgent = errors.New("neither a backupd agent nor backupcyrusd")
)

// Source is a server behind an agent.
type Source struct {
	dial     Dial
	silence  time.Duration
	name     string // of the server
	extended bool   // it has the extension, and we use it
	clock    clock
	names    namespace
	stated   handover

	mu       sync.Mutex // guards what follows
	idle     []*conn
	ahead    map[string]*ahead // by user
	dead     error             // once no connection could be had
	problems []error           // of the last list of users
}

var (
	_ source.Source    = (*Source)(nil)
	_ source.Announcer = (*Source)(nil)
)

// Open connects, and finds out with whom: one try, so that a wrong address is told at once.
func Open(ctx context.Context, dial Dial, o Options) (*Source, error) {
	s := &Source{dial: dial, silence: cmp.Or(o.Silence, DefaultSilence), ahead: map[string]*ahead{}}
	s.clock.settled = settled
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.name, s.extended = c.name, c.extended && !o.Plain
	s.idle = []*conn{c}
	return s, nil
}

// Name is the server's, as its imapd.conf has it.
func (s *Source) Name() string { return s.name }

// Listing says how the mailboxes are listed, and what was wrong with the last list of users.
func (s *Source) Listing() (by string, problems []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "the agent", s.problems
}

// Close closes the connections that no call uses.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeIdleLocked()
	return nil
}

// maxTries is how often something is asked for whose answers broke off one after another.
const maxTries = 3

// exchange has a conversation over a connection, and again over another if it broke. Tries count from the last progress on.
func (s *Source) exchange(ctx context.Context, progress func() int, talk func(*conn) error) error {
	for tries := 1; ; tries++ {
		before := progress()
		c, err := s.take(ctx)
		if err != nil {
			return err
		}
		err = c.during(ctx, func() error { return talk(c) })
		lost := errors.Is(err, source.ErrLost)
		s.give(c, lost)
		if progress() > before {
			tries = 1
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !lost || tries == maxTries:
			return err
		}
	}
}

// ask is an exchange that makes no progress but by its end.
func (s *Source) ask(ctx context.Context, talk func(*conn) error) error {
	return s.exchange(ctx, func() int { return 0 }, talk)
}

// take returns a connection that nobody uses, or a new one.
func (s *Source) take(ctx context.Context) (*conn, error) {
	c, err := s.idleConn()
	if c == nil && err == nil {
		return s.reconnect(ctx)
	}
	return c, err
}

func (s *Source) idleConn() (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if s.dead != nil || n == 0 {
		return nil, s.dead
	}
	c := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return c, nil
}

// give puts a connection back, if its last answer was read to the end. If it broke, those that nobody uses have, too: the agent was
// started anew.
func (s *Source) give(c *conn, broke bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.clean {
		s.idle = append(s.idle, c)
		return
	}
	_ = c.nc.Close()
	if broke {
		s.closeIdleLocked()
	}
}

func (s *Source) closeIdleLocked() {
	for _, c := range s.idle {
		_ = c.nc.Close() // nothing is lost by it
	}
	s.idle = nil
}

// backoff is waited before each further try of a connection: an agent that is started anew is back by then.
var backoff = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second}

// reconnect tries as often as backoff says. Then nobody tries again.
func (s *Source) reconnect(ctx context.Context) (*conn, error) {
	for tries := 0; ; tries++ {
		c, err := s.connect(ctx)
		switch {
		case err == nil && c.name == s.name:
			return c, nil
		case err == nil:
			_ = c.nc.Close()
			err = fmt.Errorf("it is another server now, %s and not %s", c.name, s.name)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		if tries == len(backoff) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.dead = fmt.Errorf("%w: %v", ErrUnreachable, err)
			return nil, s.dead
		}
		if err := lock.Pause(ctx, backoff[tries]); err != nil {
			return nil, err
		}
	}
}
