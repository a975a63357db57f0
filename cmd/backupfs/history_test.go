package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/index/indextest"
	"backupfs/lock"
)

// history is a user of the stress test: their mail, and what a mount may show of it at which time. Only the test's own goroutine adds
// to it.
type history struct {
	x       *fixture
	user    string
	random  *rand.Rand
	folders []indextest.Folder
	lastUID map[string]uint32 // by uniqueid
	seed    int               // of the last message
	begun   time.Time         // of the last run
	runs    []*state          // those that the archive holds

	mu       sync.Mutex
	versions []version // oldest first
}

// state is a run as a date shows it.
type state struct {
	run  indextest.Run
	tree map[string]want
}

// version is what a user's folder shows from one change of the archive to the next.
type version struct {
	from, to time.Time // when the change began and ended: the change is seen at some time between them, or a little later
	dates    map[string]*state
	latest   string // of the dates
}

func newHistory(x *fixture, user string, n int) *history {
	h := &history{x: x, user: user, random: rand.New(rand.NewPCG(uint64(n), 1)), seed: n * 1_000_000, begun: mustDay("2009-09-28T05:00"),
		lastUID: map[string]uint32{}, folders: []indextest.Folder{{UniqueID: user + "-inbox", Name: "INBOX"}, {UniqueID: user + "-drafts", Name: "INBOX.Drafts"}}}
	for range 40 {
		h.deliver()
	}
	return h
}

// backup adds a run, as a backup does that holds the user's lock.
func (h *history) backup() {
	h.x.t.Helper()
	h.begun = h.begun.Add(7 * time.Hour)
	r := indextest.Run{User: h.user, Begun: h.begun, Seen: fmt.Sprint("seen ", h.begun), Folders: slices.Clone(h.folders)}
	for i, f := range r.Folders {
		r.Folders[i].Messages = slices.Clone(f.Messages)
	}
	if err := h.x.user(h.user).Make(); err != nil {
		h.x.t.Fatal(err)
	}
	h.change(append(slices.Clone(h.runs), &state{r, model(h.x.t, r, false)}), h.locked(func() { h.x.run(r) }))
}

// compact compacts the archive to its last runs.
func (h *history) compact(last int) {
	h.x.t.Helper()
	begun := make([]time.Time, len(h.runs))
	for i, s := range h.runs {
		begun[i] = s.run.Begun
	}
	keep := backup.Keep{Last: last}
	var kept []*state
	for i, yes := range keep.Kept(begun, time.UTC) {
		if yes {
			kept = append(kept, h.runs[i])
		}
	}
	h.change(kept, func() {
		opts := backup.CompactOptions{Keep: keep, Live: 1, Append: archive.AppendOptions{Workers: 1}}
		res, err := backup.Compact(context.Background(), h.x.user(h.user), opts)
		for errors.Is(err, lock.ErrBusy) { // a program that is just being started has our descriptors until it runs
			time.Sleep(time.Millisecond)
			res, err = backup.Compact(context.Background(), h.x.user(h.user), opts)
		}
		if err != nil || len(res.Kept) != len(kept) || res.Path == "" {
			h.x.t.Fatalf("%+v, %v", res, err)
		}
	})
}

// locked does what a backup does under the user's lock.
func (h *history) locked(do func()) func() {
	return func() {
		h.x.t.Helper()
		release, err := lock.File(h.x.user(h.user).Lock())
		for errors.Is(err, lock.ErrBusy) { // as in compact
			time.Sleep(time.Millisecond)
			release, err = lock.File(h.x.user(h.user).Lock())
		}
		if err != nil {
			h.x.t.Fatal(err)
		}
		do()
		if err := release(); err != nil {
			h.x.t.Fatal(err)
		}
	}
}

// change makes a version of runs and does what leads to it.
func (h *history) change(runs []*state, do func()) {
	h.x.t.Helper()
	h.runs = runs
	v := version{from: time.Now(), dates: map[string]*state{}}
	for i, s := range runs {
		day := s.run.Begun.Format("2006-01-02")
		if i+1 < len(runs) && runs[i+1].run.Begun.Format("2006-01-02") == day {
			day = s.run.Begun.Format("2006-01-02T1504Z")
		}
		v.dates[day], v.latest = s, day
	}
	h.mu.Lock()
	h.versions = append(h.versions, v)
	h.mu.Unlock()
	do()
	h.mu.Lock()
	h.versions[len(h.versions)-1].to = time.Now()
	h.mu.Unlock()
}

// between returns the versions that a program may see which looks from one time to another, if a mount is behind by at most late.
func (h *history) between(from, to time.Time, late time.Duration) (seen []version) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, v := range h.versions {
		gone := i+1 < len(h.versions) && !h.versions[i+1].to.IsZero() && h.versions[i+1].to.Add(late).Before(from)
		if !gone && v.from.Before(to) {
			seen = append(seen, v)
		}
	}
	return seen
}

// date returns what a name stands for in those versions.
func date(seen []version, name string) (states []*state) {
	for _, v := range seen {
		s := v.dates[name]
		if name == "latest" {
			s = v.dates[v.latest]
		}
		if s != nil && !slices.Contains(states, s) {
			states = append(states, s)
		}
	}
	return states
}

// subjects are the lines that grep finds in a date's messages, sorted.
func (s *state) subjects() string {
	var lines []string
	for path, w := range s.tree {
		if strings.HasSuffix(path, ".") && w.mode.IsRegular() {
			line, _, _ := strings.Cut(w.content, "\n")
			lines = append(lines, line+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// live does what users do between two backups.
func (h *history) live() {
	for range 1 + h.random.IntN(10) {
		i := h.random.IntN(len(h.folders))
		f := &h.folders[i]
		f.Messages = slices.DeleteFunc(slices.Clone(f.Messages), func(m indextest.Message) bool { return m.Expunged })
		switch n := len(f.Messages); h.random.IntN(8) {
		case 0, 1, 2:
			h.deliver()
		case 3: // delete
			if n > 5 {
				f.Messages = slices.Delete(f.Messages, 1, 3)
			}
		case 4: // expunge
			if n > 0 {
				f.Messages[h.random.IntN(n)].Expunged = true
			}
		case 5: // copy
			if n > 0 {
				h.add(h.random.IntN(len(h.folders)), f.Messages[h.random.IntN(n)])
			}
		case 6: // the same bytes by another date
			if n > 0 {
				m := f.Messages[h.random.IntN(n)]
				m.Date += int64(1 + h.random.IntN(1000))
				h.add(i, m)
			}
		case 7: // make or rename a folder
			h.seed++
			if name := fmt.Sprintf("INBOX.Folder %d", h.seed); len(h.folders) < 6 {
				h.folders = append(h.folders, indextest.Folder{UniqueID: fmt.Sprint("id", h.seed), Name: name})
			} else if i > 1 {
				f.Name = name
			}
		}
	}
}

// deliver adds a message to a folder.
func (h *history) deliver() {
	h.seed++
	size := 100 + h.random.IntN(16_000)
	if h.random.IntN(40) == 0 {
		size = 400_000
	}
	h.add(h.random.IntN(len(h.folders)), message(0, h.seed, size))
}

func (h *history) add(folder int, m indextest.Message) {
	f := &h.folders[folder]
	h.lastUID[f.UniqueID]++
	m.UID, m.Expunged = h.lastUID[f.UniqueID], false
	f.Messages = append(f.Messages, m)
}

// TestHistory: the model itself knows what may be seen when.
func TestHistory(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	a, b, c := &state{}, &state{}, &state{}
	h := &history{versions: []version{
		{at(10), at(20), map[string]*state{"d1": a}, "d1"},
		{at(30), at(40), map[string]*state{"d1T1": a, "d1": b}, "d1"},
		{from: at(50), dates: map[string]*state{"d2": c}, latest: "d2"}, // is being written
	}}
	for _, q := range []struct {
		from, to int
		name     string
		want     []*state
	}{
		{5, 9, "d1", nil}, {11, 12, "d1", []*state{a}}, {25, 26, "d1T1", nil}, {31, 32, "d1", []*state{a, b}}, {41, 41, "d1", []*state{a, b}},
		{43, 44, "d1", []*state{b}}, {43, 44, "latest", []*state{b}}, {60, 61, "d1", []*state{b}}, {60, 61, "d2", []*state{c}}, {45, 46, "d2", nil},
	} {
		if got := date(h.between(at(q.from), at(q.to), 2*time.Second), q.name); !slices.Equal(got, q.want) {
			t.Errorf("%s from %d to %d: %v, want %v", q.name, q.from, q.to, got, q.want)
		}
	}
}
