package source

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
)

// TestLoad: while four writers append, flag, expunge at once, create, rename and delete, no snapshot lists a message that was
// not delivered. The same without locks does show such snapshots, or the test could not fail. How long writers wait, beside
// a backup and without one, is told.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		name             string
		backup           bool
		legacy, unlocked bool
		holding          time.Duration
	}{
		{name: "NoBackup"},
		{name: "Backup", backup: true},
		{name: "Slow", backup: true, holding: holding},
		{name: "SlowByName", backup: true, holding: holding, legacy: true},
		{name: "SlowWithoutLocks", backup: true, holding: holding, unlocked: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &load{lab: cyruslab.Start(t, cyruslab.Options{ImmediateExpunge: true, LegacyDirs: c.legacy}), holding: c.holding}
			l.lab.MustAddUsers(t, "alice")
			l.fill(t)
			local, err := OpenLocal(t.Context(), LocalOptions{ConfigPath: l.lab.Conf, MaxPins: 64, MaxListAge: 100 * time.Millisecond})
			cyruslab.Must(t, err)
			local.unlocked = c.unlocked

			ctx, cancel := context.WithTimeout(t.Context(), loadTime(t))
			defer cancel()
			var g errgroup.Group
			for range 4 {
				g.Go(func() error { return l.write(ctx) })
			}
			g.Go(func() error { return l.churn(ctx) })
			if c.backup {
				g.Go(func() error { return l.snapshots(ctx, local) })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations of writers, half in %v, 99 %% in %v, all in %v", len(l.times), l.quantile(0.5), l.quantile(0.99), l.quantile(1))
			if !c.backup {
				return
			}
			t.Logf("%d snapshots, %d messages; %d bad; %d mailboxes were gone; e.g. %v", l.taken, l.delivered, len(l.bad), l.gone, first(l.bad))
			switch {
			case l.taken < 10:
				t.Errorf("only %d snapshots", l.taken)
			case c.unlocked && len(l.bad) == 0:
				t.Error("without locks no snapshot was bad: the load is too small to show anything")
			case !c.unlocked && len(l.bad) > 0:
				t.Errorf("%d bad snapshots: %v", len(l.bad), l.bad)
			}
		})
	}
}

func loadTime(t *testing.T) time.Duration {
	s := os.Getenv("BACKUPFS_LOAD_SECONDS")
	if s == "" {
		return 10 * time.Second
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("BACKUPFS_LOAD_SECONDS: %v", err)
	}
	return time.Duration(n) * time.Second
}

// load is the traffic on one user, and what is seen of it.
type load struct {
	lab     *cyruslab.Lab
	holding time.Duration

	mu    sync.Mutex // guards what follows, of the writers
	n     int        // messages composed
	times []time.Duration

	// of the goroutine that takes snapshots
	taken, delivered, gone int
	bad                    []error
}

const steady = 200 // messages in the INBOX, about

func (l *load) fill(t *testing.T) {
	c := l.lab.MustLogin(t, "alice")
	for range steady {
		cyruslab.Must(t, c.Append("INBOX", l.mail(), time.Time{}))
	}
}

// mail composes a message that was not there before.
func (l *load) mail() []byte {
	l.mu.Lock()
	l.n++
	n := l.n
	l.mu.Unlock()
	return fmt.Appendf(nil, "From: a@lab.test\r\nSubject: %d\r\n\r\n%s", n, strings.Repeat("Lorem ipsum dolor sit amet\r\n", 20+n%200))
}

// timed does an operation of a writer.
func (l *load) timed(op func() error) error {
	began := time.Now()
	err := op()
	l.mu.Lock()
	l.times = append(l.times, time.Since(began))
	l.mu.Unlock()
	return err
}

func (l *load) quantile(q float64) time.Duration {
	slices.Sort(l.times)
	return l.times[int(q*float64(len(l.times)-1))].Round(100 * time.Microsecond)
}

// write appends, flags and expunges in the INBOX, so that it keeps its size.
func (l *load) write(ctx context.Context) error {
	c, err := l.lab.Login("alice")
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
			at := rand.IntN(len(uids))
			uid, some := strconv.Itoa(int(uids[at])), fmt.Sprintf("%d:%d", uids[at], uids[min(at+5, len(uids)-1)])
			op := func() error { return c.Append("INBOX", l.mail(), time.Time{}, `\Seen`) }
			switch k := rand.IntN(8); {
			case k < 2 && len(uids) > steady/2 || len(uids) > 2*steady: // six at once
				op = func() error { return c.Expunge(some) }
			case k < 4:
				op = func() error { return c.Store(uid, "+FLAGS", fmt.Sprintf("kw%d", n%20), `\Flagged`) }
			}
			if err := l.timed(op); err != nil {
				return err
			}
		}
	}
	return nil
}

// churn makes, renames and deletes folders.
func (l *load) churn(ctx context.Context) error {
	c, err := l.lab.Login("alice")
	if err != nil {
		return err
	}
	defer c.Close()
	for n := 0; ctx.Err() == nil; n++ {
		a, b := "INBOX.a"+strconv.Itoa(n%3), "INBOX.b"+strconv.Itoa(n%5)
		ops := []func() error{func() error { return c.Create(a) }}
		for range 5 {
			ops = append(ops, func() error { return c.Append(a, l.mail(), time.Time{}) })
		}
		ops = append(ops, func() error { return c.Rename(a, b) }, func() error { return c.Append(b, l.mail(), time.Time{}) }, func() error { return c.Delete(b) })
		for _, op := range ops {
			if err := l.timed(op); err != nil {
				return err
			}
		}
	}
	return nil
}

// holding is how much longer than needed each round of a snapshot takes between reading the index and opening the first message.
// Without it that takes a fraction of a millisecond, in which seldom anything happens.
const holding = 50 * time.Millisecond

// snapshots backs the user up again and again, each time from nothing.
func (l *load) snapshots(ctx context.Context, local *Local) error {
	for ctx.Err() == nil {
		boxes, err := local.Mailboxes(ctx, "alice")
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range boxes {
			switch err := l.snapshot(context.WithoutCancel(ctx), local, m); {
			case errors.Is(err, ErrGone):
				l.gone++
			case err != nil:
				l.bad = append(l.bad, err)
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func (l *load) snapshot(ctx context.Context, local *Local, m Mailbox) error {
	held := map[cyrus.GUID]bool{}
	var round *cyrus.Index
	want := func(ix *cyrus.Index, r *cyrus.Record) bool {
		if ix != round {
			round = ix
			time.Sleep(l.holding)
		}
		return true
	}
	snap, err := local.Fetch(ctx, m, want, func(m Message) error {
		h := sha1.New()
		if _, err := io.Copy(h, io.NewSectionReader(m.Body, 0, m.Size)); err != nil {
			return err
		}
		held[cyrus.GUID(h.Sum(nil))] = true
		l.delivered++
		return nil
	})
	if err != nil {
		return err
	}
	l.taken++
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
