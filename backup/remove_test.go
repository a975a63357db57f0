package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
	"backupfs/lock"
)

// TestRemove has each durable operation of a removal go wrong in each way: the user is there, whole, or he is gone, and then Sweep leaves nothing.
func TestRemove(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	for kind, fault := range faults {
		for op, done := 0, false; !done; op++ {
			m := scenario(t, filepath.Join(root, fmt.Sprint(kind, op)), scenarios["later run"])
			m.run(t)
			u, last := m.user(t), m.last().run.Begun
			what, err := fault.at(op, func() error {
				_, err := Remove(t.Context(), m.st, u, last)
				return err
			})
			if done = what == ""; (err == nil) != done {
				t.Errorf("%s: %s: %v", kind, what, err)
			}
			users, err := m.st.Folders()
			if err != nil {
				t.Fatal(err)
			}
			if len(users) == 1 {
				m.check(t)
				m.run(t)
				continue
			}
			if err := m.st.Sweep(); err != nil {
				t.Fatal(err)
			}
			if left, err := os.ReadDir(filepath.Dir(u.Dir)); err != nil || len(left) > 0 {
				t.Errorf("%s: %s: %v, %v", kind, what, left, err)
			}
		}
	}
}

// TestNotRemoved: who is being backed up stays, and who has a newer run, or an archive that cannot be read.
func TestNotRemoved(t *testing.T) {
	m := newModel(t, t.TempDir()) // its archive is damaged in the end
	m.run(t)
	u, last := m.user(t), m.last().run.Begun
	if _, err := Remove(t.Context(), m.st, u, last.Add(-time.Second)); !errors.Is(err, ErrNewer) {
		t.Errorf("with a newer run: %v", err)
	}
	release, err := lock.File(u.Lock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Remove(t.Context(), m.st, u, last); !errors.Is(err, lock.ErrBusy) {
		t.Errorf("while he is backed up: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := Remove(ended, m.st, u, last); !errors.Is(err, context.Canceled) {
		t.Errorf("in vain: %v", err)
	}
	m.check(t)
	if err := os.Truncate(mustArchive(t, m), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Remove(t.Context(), m.st, u, last); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}

// TestKeepDeleted: the last date of a folder that is gone is kept for a while, and none for one that was renamed.
func TestKeepDeleted(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	s := m.server
	m.run(t)
	s.byName("INBOX.Old").name = "INBOX.New"
	m.run(t)
	s.boxes = slices.DeleteFunc(s.boxes, func(b *fakeBox) bool { return b.name == "INBOX.A.Sub" })
	for range 8 {
		m.run(t)
	}
	for deleted, want := range map[time.Duration][]int{0: {10}, 8 * 24 * time.Hour: {10}, 8*24*time.Hour + 1: {2, 10}} {
		res, err := Compact(t.Context(), m.user(t), CompactOptions{Keep: Keep{Last: 1}, Deleted: deleted, Live: always, DryRun: true})
		if err != nil || !slices.Equal(numbers(res.Kept), want) {
			t.Errorf("%s: kept are %v, want %v; %v", deleted, numbers(res.Kept), want, err)
		}
	}
}
