package sourcetest

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/lock"
	"backupfs/source"
)

// Load is traffic of four writers on one user, who append, flag, expunge at once, create, rename and delete, and what snapshots are taken
// of it meanwhile. None may list a message that was not delivered.
type Load struct {
	Lab     *cyruslab.Lab
	Time    time.Duration // how long; default BACKUPFS_LOAD_SECONDS, or ten
	Holding time.Duration // so much longer than needed takes each round of a snapshot between reading the index and opening the first message
	SomeBad bool          // one that is bad is waited for

	// What was seen.
	Taken, Delivered, Gone int
	Bad                    []error

	mu      sync.Mutex // guards what follows, of the writers
	n       int        // messages composed
	times   []time.Duration
	slowest time.Duration // of all APPENDs
}

// Slowest is how long an APPEND took at worst.
func (l *Load) Slowest() time.Duration { return l.slowest.Round(100 * time.Microsecond) }

// Holding makes something happen between a look and the first message. Without it that takes a fraction of a millisecond.
const Holding = 50 * time.Millisecond

// least is how many snapshots are taken, however slow the machine is.
const least = 4

// Run makes traffic and backs the user up again and again, each time from nothing, unless there is no source. However slow the machine is,
// it goes on until enough was seen.
func (l *Load) Run(t *testing.T, src source.Source) {
	t.Helper()
	if l.Time == 0 {
		l.Time = seconds(t, "BACKUPFS_LOAD_SECONDS", 10)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for range 4 {
		g.Go(func() error { return l.write(ctx) })
	}
	g.Go(func() error { return l.churn(ctx) })
	g.Go(func() error {
		defer cancel()
		return l.snapshots(ctx, src)
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations of writers, half in %v, 99 %% in %v, all in %v, each APPEND in %v",
		len(l.times), l.quantile(0.5), l.quantile(0.99), l.quantile(1), l.Slowest())
	if src == nil {
		return
	}
	t.Logf("%d snapshots, %d messages; %d bad; %d mailboxes were gone; e.g. %v", l.Taken, l.Delivered, len(l.Bad), l.Gone, first(l.Bad))
}

// NewLoad is a server with mail, on which nothing happens yet.
func NewLoad(t *testing.T, o cyruslab.Options) *Load {
	t.Helper()
	o.ImmediateExpunge = true
	l := &Load{Lab: cyruslab.Start(t, o)}
	l.Lab.MustAddUsers(t, "alice")
	c := l.Lab.MustLogin(t, "alice")
	for range steady {
		cyruslab.Must(t, c.Append("INBOX", l.mail(), time.Time{}))
	}
	return l
}

const steady = 200 // messages in the INBOX, about

// Stress is how long a test goes on that finds the more the longer it does: BACKUPFS_STRESS_SECONDS, or eight.
func Stress(t *testing.T) time.Duration { return seconds(t, "BACKUPFS_STRESS_SECONDS", 8) }

func seconds(t *testing.T, name string, otherwise int) time.Duration {
	t.Helper()
	n := otherwise
	if s := os.Getenv(name); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return time.Duration(n) * time.Second
}

// mail composes a message that was not there before.
func (l *Load) mail() []byte {
	l.mu.Lock()
	l.n++
	n := l.n
	l.mu.Unlock()
	return fmt.Appendf(nil, "From: a@lab.test\r\nSubject: %d\r\n\r\n%s", n, strings.Repeat("Lorem ipsum dolor sit amet\r\n", 20+n%200))
}

// timed does an operation of a writer.
func (l *Load) timed(op func() error) (took time.Duration, err error) {
	began := time.Now()
	err = op()
	took = time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, took)
	return took, err
}

// append appends a message.
func (l *Load) append(c *cyruslab.Client, box string) error {
	text := l.mail()
	took, err := l.timed(func() error { return c.Append(box, text, time.Time{}, `\Seen`) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, took)
	return err
}

func (l *Load) quantile(q float64) time.Duration {
	slices.Sort(l.times)
	return l.times[int(q*float64(len(l.times)-1))].Round(100 * time.Microsecond)
}

// write appends, flags and expunges in the INBOX, so that it keeps its size.
func (l *Load) write(ctx context.Context) error {
	c, err := l.Lab.Login("alice")
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Select("INBOX"); err != nil {
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		uids, err := c.UIDs()
		if err != nil {
			return err
		}
		for range 8 {
			op := func() error { return l.append(c, "INBOX") }
			if len(uids) > 0 { // the others may have expunged all
				at := rand.IntN(len(uids))
				uid, some := strconv.Itoa(int(uids[at])), fmt.Sprintf("%d:%d", uids[at], uids[min(at+5, len(uids)-1)])
				switch k := rand.IntN(8); {
				case k < 2 && len(uids) > steady/2 || len(uids) > 2*steady: // six at once
					op = func() error { _, err := l.timed(func() error { return c.Expunge(some) }); return err }
				case k < 4:
					op = func() error {
						_, err := l.timed(func() error { return c.Store(uid, "+FLAGS", fmt.Sprintf("kw%d", n%20), `\Flagged`) })
						return err
					}
				}
			}
			if err := op(); err != nil {
				return err
			}
		}
	}
	return nil
}

// churn makes, renames and deletes folders.
func (l *Load) churn(ctx context.Context) error {
	c, err := l.Lab.Login("alice")
	if err != nil {
		return err
	}
	defer c.Close()
	for n := 0; ctx.Err() == nil; n++ {
		a, b := "INBOX.a"+strconv.Itoa(n%3), "INBOX.b"+strconv.Itoa(n%5)
		_, err := l.timed(func() error { return c.Create(a) })
		for i := 0; i < 5 && err == nil; i++ {
			err = l.append(c, a)
		}
		if err == nil {
			_, err = l.timed(func() error { return c.Rename(a, b) })
		}
		if err == nil {
			err = l.append(c, b)
		}
		if err == nil {
			_, err = l.timed(func() error { return c.Delete(b) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// snapshots backs the user up again and again, each time from nothing, until the time is over. Without a source it waits.
func (l *Load) snapshots(ctx context.Context, src source.Source) error {
	over := time.Now().Add(l.Time)
	if src == nil {
		_ = lock.Pause(ctx, l.Time) // if it ends early, another says why
		return nil
	}
	for ctx.Err() == nil && (time.Now().Before(over) || l.Taken+len(l.Bad) < least || l.SomeBad && len(l.Bad) == 0) {
		boxes, err := src.Mailboxes(ctx, "alice")
		if err != nil {
			return err
		}
		if a, ok := src.(source.Announcer); ok {
			a.Announce("alice", boxes)
		}
		for _, m := range boxes {
			switch err := l.snapshot(ctx, src, m); {
			case errors.Is(err, source.ErrGone):
				l.Gone++
			case err != nil:
				l.Bad = append(l.Bad, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func (l *Load) snapshot(ctx context.Context, src source.Source, m source.Mailbox) error {
	held := map[cyrus.GUID]bool{}
	var round *cyrus.Index
	want := func(ix *cyrus.Index, r *cyrus.Record) bool {
		if ix != round {
			round = ix
			time.Sleep(l.Holding)
		}
		return true
	}
	snap, err := src.Fetch(ctx, m, want, func(m source.Message) error {
		h := sha1.New()
		if _, err := io.Copy(h, io.NewSectionReader(m.Body, 0, m.Size)); err != nil {
			return err
		}
		held[cyrus.GUID(h.Sum(nil))] = true
		l.Delivered++
		return nil
	})
	if err != nil {
		return err
	}
	l.Taken++
	exist := uint32(0)
	for _, r := range snap.Index.Records {
		if r.Expunged() {
			continue
		}
		exist++
		if !held[r.GUID] {
			return fmt.Errorf("%s: lists UID %d and lacks it: %v", m.Name, r.UID, snap.Missing[r.UID])
		}
	}
	if exist != snap.Index.Exists || !snap.Index.HeaderCRCOK {
		return fmt.Errorf("%s: %d records, Exists %d, CRC right: %v", m.Name, exist, snap.Index.Exists, snap.Index.HeaderCRCOK)
	}
	return nil
}

func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}
