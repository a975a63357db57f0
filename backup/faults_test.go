package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/durable"
	"backupfs/internal/testenv"
)

var errFault = errors.New("the disk is on fire")

// faults are what can go wrong with one durable operation.
var faults = map[string]fault{
	"failed":           {err: errFault},
	"late":             {err: durable.Late(errFault)}, // took effect, but said failed
	"killed before it": {err: errFault, killed: true},
	"killed after it":  {err: durable.Late(errFault), killed: true},
}

type fault struct {
	err    error // of the operation
	killed bool  // nothing works after it: the process is no more
}

// at does work whose durable operation number op, from 0 on, goes wrong, and says which one that was: none, if there are not so many.
func (f fault) at(op int, work func() error) (what string, err error) {
	var mu sync.Mutex // of the two
	n := 0
	defer durable.InjectFault(func(kind, path string) error {
		mu.Lock()
		defer mu.Unlock()
		n++
		switch {
		case n-1 == op:
			what = kind + " " + filepath.Base(path)
			return f.err
		case n-1 > op && f.killed:
			return errFault
		}
		return nil
	})()
	err = work()
	return what, err
}

// scenarios are what was before a run, by name.
var scenarios = map[string]func(rapid.TB, *model){
	"first run":   func(rapid.TB, *model) {},
	"later run":   func(t rapid.TB, m *model) { m.run(t); m.run(t) },
	"after crash": crashed,
}

// TestCommitFaults has each durable operation of a run go wrong in each way, for a first run and a later one. Whatever it is, the run
// happened as a whole or not at all, the next run succeeds, and every date is what the server was.
func TestCommitFaults(t *testing.T) {
	testenv.SetMemory(t)
	for name, before := range scenarios {
		for kind, fault := range faults {
			t.Run(name+" "+kind, func(t *testing.T) {
				root := indextest.Store(t)
				for op, done := 0, false; !done; op++ {
					m := scenario(t, filepath.Join(root, fmt.Sprint(op)), before)
					what, err := fault.at(op, func() error {
						_, err := m.try(context.Background())
						return err
					})
					done = what == ""
					if (err == nil) != done {
						t.Errorf("%s: the run's error is %v", what, err)
					}
					m.attempt(t, err)
					m.recover(t, fmt.Sprintf("operation %d, %s, %s", op, what, kind))
				}
			})
		}
	}
}

// TestCancelled cancels a run at each of its steps.
func TestCancelled(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	for at, done := 0, false; !done; at++ {
		m := scenario(t, filepath.Join(root, fmt.Sprint(at)), crashed)
		ctx, cancel := context.WithCancel(context.Background())
		var n atomic.Int64
		step := func() {
			if n.Add(1)-1 == int64(at) {
				cancel()
			}
		}
		m.progress = func(Progress) { step() }
		restore := durable.InjectFault(func(string, string) error { step(); return nil })
		res, err := m.try(ctx)
		restore()
		m.progress = nil
		done = n.Load() <= int64(at)
		switch {
		case err == nil && !done && res.Index == nil:
			t.Errorf("step %d: cancelling changed nothing", at)
		case err != nil && !errors.Is(err, context.Canceled):
			t.Errorf("step %d: %v", at, err)
		}
		if happened := m.attempt(t, err); happened != (err == nil) {
			t.Errorf("step %d: the run happened: %t, and its error is %v", at, happened, err)
		}
		cancel()
		m.recover(t, fmt.Sprintf("cancelled at %d", at))
	}
}

// scenario is a server with a change since its last run that takes several members and touches everything that a run writes.
func scenario(t rapid.TB, root string, before func(rapid.TB, *model)) *model {
	t.Helper()
	m := newModel(t, root)
	s := m.server
	before(t, m)
	large := make([]byte, smallMessage+1)
	for i := range large {
		large[i] = byte(i * i >> 8)
	}
	s.add(s.boxes[0], large, large)
	s.add(s.boxes[0], s.newBody(), s.newBody())
	s.add(s.boxes[1], nil, s.newBody())
	s.boxes[1].name = "INBOX.Renamed"
	s.boxes[1].annotations = []byte("annotations")
	s.changed(s.boxes[1])
	s.create("INBOX.New", 17)
	s.files["seen"] = []byte("seen")
	return m
}

// crashed leaves behind a run what a crash left of the next one.
func crashed(t rapid.TB, m *model) {
	t.Helper()
	m.run(t)
	m.server.addGood(m.server.boxes[0])
	restore := durable.InjectFault(func(kind, _ string) error {
		if kind == "sync" {
			return errFault
		}
		return nil
	})
	_, err := m.try(context.Background())
	restore()
	if m.attempt(t, err) || !errors.Is(err, errFault) {
		t.Errorf("the run happened, or failed otherwise: %v", err)
	}
}

// attempt looks whether a run that ended with an error happened all the same, and notes it then.
func (m *model) attempt(t rapid.TB, err error) (happened bool) {
	t.Helper()
	run, ok := m.lastRun(t)
	if !ok || run.Run == m.last().run.Run {
		if err == nil {
			t.Error("the run is not in the archive")
		}
		return false
	}
	m.date(run)
	return true
}

// lastRun reads the last complete run of the archive, past any index.
func (m *model) lastRun(t rapid.TB) (last archive.Run, ok bool) {
	t.Helper()
	path, err := m.user(t).Archive()
	if errors.Is(err, os.ErrNotExist) {
		return last, false
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	end, err := a.Complete(archive.Position{})
	if err != nil {
		t.Fatal(err)
	}
	for s := a.Scan(archive.Position{}, end, archive.ScanOptions{Digest: true}); ; {
		e, err := s.Next()
		if err == io.EOF {
			return last, ok
		}
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == archive.EventRun {
			last, ok = e.Run, true
		}
	}
}

// recover makes the next run, which has to succeed, and checks everything.
func (m *model) recover(t *testing.T, what string) {
	t.Helper()
	m.run(t)
	m.check(t)
	if err := index.Check(context.Background(), mustArchive(t, m), m.user(t).Index()); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Fatal(what)
	}
}
