package backup

import (
	"context"
	"crypto/sha1"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/source"
)

func TestBegun(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	future := time.Now().UTC().Add(24 * time.Hour).Truncate(time.Second)
	var told []Problem
	run := func(at time.Time) (time.Time, error) {
		res, err := User(context.Background(), m.st, m.server, "brong", Options{At: at})
		if err != nil {
			return time.Time{}, err
		}
		told = res.Problems
		if res.Run.Ended.Before(res.Run.Begun) {
			t.Errorf("ended %v, begun %v", res.Run.Ended, res.Run.Begun)
		}
		return res.Run.Begun, nil
	}
	if got, err := run(future); err != nil || !got.Equal(future) {
		t.Errorf("a run at %v has %v, %v", future, got, err)
	}
	if _, err := run(future.Add(-time.Second)); !errors.Is(err, ErrBefore) {
		t.Errorf("a run before the last: %v", err)
	}
	if got, err := run(time.Time{}); err != nil || !got.Equal(future) {
		t.Errorf("a run after the clock was put back begins %v, want %v, %v", got, future, err)
	}
	if len(told) != 1 || !errors.Is(told[0], ErrClock) {
		t.Errorf("a clock that was put back by a day: %v", told)
	}
	if got, err := run(time.Time{}); err != nil || !got.Equal(future) || len(told) > 0 {
		t.Errorf("the next run begins %v, %v; told again: %v", got, err, told)
	}
}

// TestBack: a file that could not be had once is stored by a later run, though nothing else changed in the folder, nor its
// fingerprint.
func TestBack(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	b := m.server.byName("INBOX.A.Sub")
	whole := m.server.newBody()
	away := m.server.add(b, nil, whole)
	bad := m.server.add(b, whole[:9], m.server.newBody())
	m.run(t)
	if res := m.run(t); len(res.Problems) > 0 {
		t.Errorf("told again: %v", res.Problems)
	}
	away.body, bad.body = whole, m.server.newBody()
	bad.rec.GUID, bad.rec.Size = sha1.Sum(bad.body), uint64(len(bad.body))
	if res := m.run(t); res.Run.NewMessages != 2 || res.Run.Missing+res.Run.Mismatched > 0 {
		t.Errorf("%+v", res.Run)
	}
}

// TestLostArchive: an archive that is not there any more, though there is an index of it, is not taken for a first run, until somebody
// has removed the index, too.
func TestLostArchive(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	path, err := m.user(t).Archive()
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := m.try(context.Background()); !errors.Is(err, ErrLost) || !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("the archive is gone: %v", err)
		}
	}
	if err := os.Remove(m.user(t).Index()); err != nil {
		t.Fatal(err)
	}
	if res, err := m.try(context.Background()); err != nil || res.Run.Run != 1 || res.Run.NewMessages == 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestUnknownFolder: a folder of which not even the UniqueID can be learnt stays what it was.
func TestUnknownFolder(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	b := m.server.byName("INBOX.A.Sub")
	id := b.id
	b.id, b.busy, b.racy = "", true, true
	res, err := m.try(context.Background())
	if err != nil || !slices.Equal(res.Run.Skipped, []string{b.name}) || len(res.Problems) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	ix, err := index.OpenRead(m.user(t).Index())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	states, err := ix.States()
	if err != nil || !slices.Equal(states[id].Names, []string{b.name}) {
		t.Errorf("%s stands for nothing any more: %v, %v", b.name, states, err)
	}
}

// TestNobody: a user that the server does not know leaves nothing in the store, and one that it no longer knows keeps all.
func TestNobody(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	if _, err := User(context.Background(), m.st, m.server, "nobody", Options{}); !errors.Is(err, source.ErrNoUser) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(m.st.Root, "users")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the store holds something: %v", err)
	}
	m.run(t)
	m.server.boxes = nil
	if _, err := m.try(context.Background()); !errors.Is(err, source.ErrNoUser) {
		t.Error(err)
	}
	m.check(t)
}

// TestOneIDTwice: mailboxes that cannot be told apart by their UniqueIDs are all backed up.
func TestOneIDTwice(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	s := m.server
	s.boxes = s.boxes[:0]
	want := map[string]int{"INBOX": 1, "INBOX.A": 2, "INBOX.B": 3, "INBOX.C": 4}
	for name, messages := range want {
		b := s.create(name, 17)
		b.id = map[string]string{"INBOX": "same", "INBOX.A": "same", "INBOX.B": "", "INBOX.C": "../../etc"}[name]
		for range messages {
			s.addGood(b)
		}
	}
	for run := 1; run <= 2; run++ {
		res, err := m.try(context.Background())
		if err != nil || len(res.Problems) > 0 || res.Run.Messages != 10 {
			t.Fatalf("%+v, %v", res, err)
		}
		if run == 2 && res.Changed > 0 {
			t.Errorf("%d folders changed", res.Changed)
		}
	}
	ix, err := index.OpenRead(m.user(t).Index())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	folders, err := ix.Folders(2)
	if err != nil || len(folders) != len(want) {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, f := range folders {
		n := 0
		for msg, err := range ix.Messages(f.ID, 2) {
			if err != nil || msg.Tar < 0 {
				t.Fatalf("%+v, %v", msg, err)
			}
			n++
		}
		if n != want[f.Archived] {
			t.Errorf("%s has %d messages, want %d", f.Archived, n, want[f.Archived])
		}
	}
}

// TestOneIDTwiceAndGone: of two mailboxes with one UniqueID the first goes while a run lists the mailboxes again; the other is not
// taken for it.
func TestOneIDTwiceAndGone(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	s := m.server
	s.boxes = s.boxes[:0]
	first, second, third := s.create("INBOX", 17), s.create("INBOX.A", 17), s.create("INBOX.B", 17)
	first.id, second.id = "same", "same"
	s.addGood(first)
	for range 2 {
		s.addGood(second)
	}
	third.renameTo = "INBOX.C" // makes the run list again
	s.listing = func() {
		if third.name == "INBOX.C" && s.boxes[0] == first {
			s.boxes = s.boxes[1:]
		}
	}
	if res, err := m.try(context.Background()); err != nil || len(res.Problems) > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	ix, err := index.OpenRead(m.user(t).Index())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	folders, err := ix.Folders(1)
	if err != nil || len(folders) != 2 || folders[0].Archived != "INBOX.A" {
		t.Fatalf("%v, %v", folders, err)
	}
	n := 0
	for _, err := range ix.Messages(folders[0].ID, 1) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("INBOX.A has %d messages, want 2", n)
	}
}

// TestFileChangesWhileRead: a large file whose bytes are others when they are read again. Its name in the archive would not be its
// digest, so the run must not happen; the next one is right.
func TestFileChangesWhileRead(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	large := make([]byte, smallMessage+1)
	m.server.add(m.server.boxes[0], large, large)
	m.server.changing = true
	_, err := m.try(context.Background())
	if err == nil || m.attempt(t, err) {
		t.Errorf("the run happened: %v", err)
	}
	m.server.changing = false
	m.run(t)
	m.check(t)
}

// TestOlderArchive: somebody put an older copy of the archive back, and left the index. That is told, and the history goes on
// from there when the index is removed, too.
func TestOlderArchive(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	path := mustArchive(t, m)
	older, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m.server.addGood(m.server.boxes[0])
	views, told := maps.Clone(m.views), maps.Clone(m.told)
	m.run(t)
	if err := os.WriteFile(path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	m.dates, m.views, m.told = m.dates[:1], views, told
	if _, err := m.try(context.Background()); !errors.Is(err, ErrLost) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(m.user(t).Index()); err != nil {
		t.Fatal(err)
	}
	res, err := m.try(context.Background())
	if err != nil || len(res.Problems) > 0 || res.Run.Run != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	m.date(res.Run)
	if err := m.compare(m.user(t).Index()); err != nil {
		t.Error(err)
	}
	m.run(t)
}

// TestDoubtEnds: a name of which nobody is sure is given to another mailbox while the run goes on: that one is what the date shows, and
// nothing is told of a name that stays.
func TestDoubtEnds(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	s := m.server
	gone, other := s.byName("INBOX.A.Sub"), s.byName("INBOX.Old")
	s.boxes = slices.DeleteFunc(s.boxes, func(b *fakeBox) bool { return b == gone })
	s.unsure = true
	other.renameTo = gone.name
	s.changed(other)
	if res := m.run(t); len(res.Problems) > 0 || len(res.Run.Skipped) > 0 {
		t.Errorf("%v, %q", res.Problems, res.Run.Skipped)
	}
	m.check(t)
}

// TestUnlistedUser: a user whom no list has, and whose folders are there, is no user that is gone.
func TestUnlistedUser(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	m.server.boxes, m.server.unsure = nil, true
	if _, err := m.try(context.Background()); !errors.Is(err, ErrDoubt) || errors.Is(err, source.ErrNoUser) {
		t.Error(err)
	}
	m.check(t)
}

// TestUnknownID: a folder whose header is out of reach stays what its name stood for, unless that has another name now.
func TestUnknownID(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	m.run(t)
	b := m.server.byName("INBOX.Old")
	id := b.id
	b.id, b.busy, b.racy = "", true, true
	m.server.changed(b)
	res, err := m.try(context.Background())
	if err != nil || res.Run.Folders != 3 || !slices.Equal(res.Run.Skipped, []string{"INBOX.Old"}) {
		t.Errorf("%+v, %v", res, err)
	}
	m.server.create("INBOX.New", 17).id = id
	res, err = m.try(context.Background())
	if err != nil || res.Run.Folders != 3 || !slices.Equal(res.Run.Skipped, []string{"INBOX.Old"}) {
		t.Errorf("renamed: %+v, %v", res, err)
	}
}
