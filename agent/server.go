package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"backupfs/lock"
	"backupfs/source"
)

// Options of a server. Zero values are defaults.
type Options struct {
	MaxConns int           // connections at a time; a further one is told so and closed; default 256
	Idle     time.Duration // a client that asks nothing for so long is disconnected; default 10 minutes, as backupcyrusd
	Stall    time.Duration // and one that takes nothing of 64 KiB for so long; default 1 minute
	Rate     int64         // bytes a second, to all clients together; 0: as fast as it goes
	Grace    time.Duration // when ctx ends, requests that are being answered have so long; default 10 s

	Finish   context.Context // when it ends, so does the server, but what is being answered has all the time that it needs
	Stopping func()          // called once no more connections are taken

	// Report is told what went wrong with one client or one mailbox, while the others are served. It is called from several goroutines.
	Report func(error)
}

const (
	DefaultMaxConns = 256
	defaultIdle     = 10 * time.Minute // cyrus: imap/backupcyrusd.c service_main
	defaultStall    = time.Minute
	defaultGrace    = 10 * time.Second
)

// Serve answers whoever connects, until ctx or Finish ends, and then waits for the requests that are being answered. It closes ln.
// An error is one of ln.
func Serve(ctx context.Context, src *source.Local, ln net.Listener, o Options) error {
	s := &server{src: src, opts: o}
	s.defaults()
	late, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.opts.Grace, giveUp) })()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(s.opts.Finish, stop)()
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	var clients errgroup.Group
	err := s.accept(ctx, late, ln, &clients)
	s.opts.Stopping()
	if ctx.Err() != nil {
		err = nil
	} else {
		giveUp()
	}
	_ = ln.Close() // nothing is lost by it
	return errors.Join(err, clients.Wait())
}

type server struct {
	src       *source.Local
	opts      Options
	rate      *rate.Limiter
	places    *semaphore.Weighted // one for each client that is served
	strangers strangers
}

func (s *server) defaults() {
	o := &s.opts
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.Idle == 0 {
		o.Idle = defaultIdle
	}
	if o.Stall == 0 {
		o.Stall = defaultStall
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Finish == nil {
		o.Finish = context.Background()
	}
	if o.Stopping == nil {
		o.Stopping = func() {}
	}
	s.places = semaphore.NewWeighted(int64(o.MaxConns))
	s.rate = rate.NewLimiter(rate.Inf, bufferSize)
	if o.Rate > 0 {
		s.rate.SetLimit(rate.Limit(o.Rate))
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
}

// acceptPause: where no connection can be had because too many files are open, some close soon.
const acceptPause = 100 * time.Millisecond

// accept returns when the listener fails or is closed.
func (s *server) accept(ctx, late context.Context, ln net.Listener, clients *errgroup.Group) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.opts.Report(err)
			if err := lock.Pause(ctx, acceptPause); err != nil {
				return err
			}
			continue
		}
		if _, secured := c.(*tls.Conn); secured { // it gets a place once we know it
			if oldest := s.strangers.add(c); oldest != nil {
				s.opts.Report(fmt.Errorf("%s: %d connections are within their TLS handshake: the oldest is closed", peer(oldest), maxStrangers))
			}
		} else if !s.places.TryAcquire(1) {
			s.refuse(c)
			continue
		}
		clients.Go(func() error { s.client(ctx, late, c); return nil })
	}
}

// refuse does not wait for the client: so few bytes fit into any socket, and with TLS nothing is said.
func (s *server) refuse(c net.Conn) {
	s.opts.Report(fmt.Errorf("%s: %d connections are open: refused", peer(c), s.opts.MaxConns))
	if _, secured := c.(*tls.Conn); !secured {
		_, _ = c.Write([]byte("NO too many connections\n"))
	}
	_ = c.Close()
}

// client serves one connection: until it ends, or ctx and the request that is being answered, or late.
func (s *server) client(ctx, late context.Context, nc net.Conn) {
	defer func() { _ = nc.Close() }()
	defer context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Now()) })()
	defer context.AfterFunc(late, func() { _ = nc.Close() })()
	report := func(err error) { s.opts.Report(fmt.Errorf("%s: %w", peer(nc), err)) }
	err := s.handshake(late, nc)
	if err == nil {
		defer s.places.Release(1)
		c := &conn{Conn: nc, ctx: ctx, late: late, rate: s.rate, idle: s.opts.Idle, stall: s.opts.Stall}
		c.out = bufio.NewWriterSize(c, bufferSize)
		err = newSession(s.src, c, c.out, report).run(late)
	}
	var network *net.OpError // that a client went away is nobody's fault
	if err != nil && err != io.EOF && err != errRefused && ctx.Err() == nil && !errors.As(err, &network) {
		report(err)
	}
}

func peer(c net.Conn) string {
	if a := c.RemoteAddr(); a.Network() == "tcp" {
		return a.String()
	}
	return "a local client"
}
