package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/tartools"
	"backupfs/internal/testenv"
)

// byRun reads all that a user's runs show, by run.
func byRun(t *testing.T, u store.User) map[string]indextest.Content {
	t.Helper()
	runs, err := Runs(context.Background(), u)
	if err != nil {
		t.Fatal(err)
	}
	all, fits := mustContents(t, u)
	if !fits {
		t.Error("the index does not fit the archive")
	}
	named := map[string]indextest.Content{}
	for name, c := range all {
		date, rest, _ := strings.Cut(name, " ")
		i := slices.IndexFunc(runs, func(r index.Run) bool { return r.Date == date })
		named[fmt.Sprintf("%d %s", runs[i].Run.Run, rest)] = c
	}
	return named
}

// mustCompact compacts a user's archive to its last runs, and compares what they show with what they did.
func mustCompact(t *testing.T, u store.User, last int) *Compacted {
	t.Helper()
	want := byRun(t, u)
	old, err := u.Archive()
	must(t, err)
	res, err := Compact(context.Background(), u, CompactOptions{Keep: Keep{Last: last}, Live: always, Append: archive.AppendOptions{Workers: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Path == "" || len(res.Kept) != last {
		t.Fatalf("%+v", res)
	}
	got := byRun(t, u)
	exceptions := func(name string, _ indextest.Content) bool { return strings.HasSuffix(name, "cyrus.backupfs") }
	maps.DeleteFunc(want, func(name string, c indextest.Content) bool {
		return exceptions(name, c) || !slices.ContainsFunc(res.Kept, func(r index.Run) bool { return strings.HasPrefix(name, fmt.Sprint(r.Run.Run, " ")) })
	})
	maps.DeleteFunc(got, exceptions)
	for name, w := range want {
		if g, ok := got[name]; !ok || (g.Err == nil) != (w.Err == nil) || g.Err == nil && !bytes.Equal(g.Bytes, w.Bytes) {
			t.Errorf("%s: it is there: %t, %v", name, ok, g.Err)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: it was not there", name)
		}
	}
	if report := mustVerify(t, u); report.Err() != nil || report.Index != nil || report.Runs != last {
		t.Errorf("%v: %+v", report.Err(), report)
	}
	mustOrder(t, res.Path)
	was, _ := store.ArchiveTime(filepath.Base(old))
	if is, _ := store.ArchiveTime(filepath.Base(res.Path)); is != max(was+1, res.Kept[0].Begun.Unix()) {
		t.Errorf("the name is of %d, was %d, and its first run is of %s", is, was, res.Kept[0].Begun)
	}
	return res
}

// mustOrder reads an archive as one who knows nothing of this program, and checks that nothing is stored twice, that each message comes
// before the index that needs it, and within a run those of a folder by UID, which is what Cyrus's own tools insist on.
func mustOrder(t *testing.T, path string) {
	t.Helper()
	entries, err := tartools.Tarfile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cache, members := archive.NewCache(1<<20), mustMembers(t, path)
	find := func(tar int64) (archive.Member, error) {
		i := slices.IndexFunc(members, func(m archive.Member) bool { return tar < m.End().Tar })
		return members[i], nil
	}
	place, needs := map[string]int{}, map[string]int{} // of each message, and of the first index that lists it
	for i, e := range entries {
		digest, message := strings.CutPrefix(e.Name, "files/")
		if _, twice := place[digest]; message && twice {
			t.Errorf("%s is stored twice", e.Name)
		}
		if message {
			place[digest] = i
			continue
		}
		if !strings.HasSuffix(e.Name, "/cyrus.index") || e.Size == 0 {
			continue
		}
		b := make([]byte, e.Size)
		if _, err := cache.ReadAt(context.Background(), a, archive.Known{Member: find}, b, e.Data); err != nil {
			t.Fatal(err)
		}
		ix, err := cyrus.ParseIndex(b)
		if err != nil {
			t.Fatal(err)
		}
		last, run := -1, i
		for run > 0 && entries[run-1].Name != "meta/snapshot" && !strings.HasPrefix(entries[run-1].Name, "imap/") {
			run--
		}
		seen := map[int]bool{}
		for _, r := range ix.Records {
			at, ok := place[r.GUID.String()]
			if _, before := needs[r.GUID.String()]; !before && !r.Unlinked() {
				needs[r.GUID.String()] = i
			}
			if !ok || at < run || seen[at] {
				continue
			}
			seen[at] = true
			if at < last {
				t.Errorf("%s: message %d stands before one with a lower UID", e.Name, r.UID)
			}
			last = at
		}
	}
	for digest, i := range needs {
		if at, ok := place[digest]; ok && at > i {
			t.Errorf("message %s comes behind %s", digest, entries[i].Name)
		}
	}
	all := slices.ContainsFunc(entries, func(e tartools.Entry) bool { return e.Name == "meta/snapshot" })
	if _, _, err := tartools.Tar(path, "meta/snapshot"); err != nil || !all {
		t.Errorf("tar: %v", err)
	}
	for _, e := range entries {
		if e.Type == "0" && e.Linkname != "" && e.Linkname != e.SHA1 {
			t.Errorf("%s: its SHA-1 is %s", e.Name, e.SHA1)
		}
	}
}

// mustStore is a store with an archive of another tool.
func mustStore(t *testing.T, user, name string, whole []byte) store.User {
	t.Helper()
	st, err := store.Init(filepath.Join(t.TempDir(), "store"))
	must(t, err)
	u, err := st.User(user)
	must(t, err, u.Make())
	path := filepath.Join(u.Dir, name)
	mustPut(t, path, whole)
	must(t, index.Rebuild(context.Background(), path, u.Index(), nil))
	return u
}

// TestCompactForeign compacts archives that Cyrus's own tools wrote.
func TestCompactForeign(t *testing.T) {
	testenv.SetMemory(t)
	for user, name := range map[string]string{
		"brong":      "gz/data/brong/backupdata-1795508101.tar.gz",
		"cassandane": "default-gz/data/cassandane/backupdata-1795508103.tar.gz",
	} {
		for last := 1; last < 3; last++ {
			b, err := os.ReadFile(filepath.Join(testenv.Fixtures(t), "cyrus313/archives", name))
			must(t, err)
			mustCompact(t, mustStore(t, user, filepath.Base(name), b), last)
		}
	}
}

// TestCompactMixed compacts what this program and another one wrote in turn, again and again.
func TestCompactMixed(t *testing.T) {
	testenv.SetMemory(t)
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	u := m.user(t)
	m.server.add(m.server.boxes[0], nil, m.server.newBody()).rec.SystemFlags |= cyrus.FlagExpunged // the server has no UID 1, nor will it
	var msgs []indextest.Message
	for run := range 14 {
		m.server.addGood(m.server.boxes[0])
		if _, err := m.try(context.Background()); err != nil {
			t.Fatal(err)
		}
		m.days++
		if run%3 == 1 { // another tool's run, of a folder of its own
			msgs = append(msgs, indextest.Message{UID: uint32(len(msgs) + 1), Body: strings.Repeat(fmt.Sprint("run ", run), 300)})
			path := mustArchive(t, m)
			folder := indextest.Folder{UniqueID: "id", Name: "INBOX.Foreign", Messages: msgs}
			if run == 7 || run == 10 { // one of ours, just before a compaction, and one run before
				folder.UniqueID, folder.Name = "id-1", "INBOX"
			}
			foreign := foreignRun(t, folder, 0, m.lastBegun(t)+3600)
			mustPut(t, path, append(mustRead(t, path), foreign...))
		}
		if run%4 == 3 {
			must(t, index.Rebuild(context.Background(), mustArchive(t, m), u.Index(), nil))
			mustCompact(t, u, 1+run%3)
		}
	}
}

func (m *model) lastBegun(t *testing.T) int64 {
	t.Helper()
	r, ok := m.lastRun(t)
	if !ok {
		t.Fatal("there is no run")
	}
	return r.Begun.Unix()
}

// TestCompactRepaired: what a repair named as lost is named as long as a date shows it, and no longer.
func TestCompactRepaired(t *testing.T) {
	testenv.SetMemory(t)
	m, members := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	b := mustRead(t, path)
	for _, mem := range members {
		if !mem.Marker {
			b[mem.File+mem.FileSize/2] ^= 0x55
		}
	}
	mustPut(t, path, b)
	lost := mustRepair(t, u).Lost
	named := len(mustVerify(t, u).Lost)
	// The server does not have one of them any more.
	for _, box := range m.server.boxes {
		n := len(box.msgs)
		box.msgs = slices.DeleteFunc(box.msgs, func(msg *fakeMsg) bool { return "files/"+msg.rec.GUID.String() == lost[0].Name })
		if len(box.msgs) < n {
			m.server.changed(box)
		}
	}
	if _, err := m.try(context.Background()); err != nil {
		t.Fatal(err)
	}
	known := mustVerify(t, u)
	if len(known.Lost) == 0 || len(known.Lost) >= named {
		t.Fatalf("%v lost, %d named before the next run, %d after", lost, named, len(known.Lost))
	}
	mustCompact(t, u, 3)
	mustCompact(t, u, 2)
	still := mustVerify(t, u)
	if len(still.Lost) == 0 || len(still.Lost) > len(known.Lost) {
		t.Errorf("%+v, before %+v", still.Lost, known.Lost)
	}
	mustCompact(t, u, 1) // the newest date shows nothing that is lost
	if gone := mustVerify(t, u); len(gone.Lost) > 0 || len(gone.named) > 0 {
		t.Errorf("%+v, %+v", gone.Lost, gone.named)
	}
	if res, err := m.try(context.Background()); err != nil || res.Changed > 0 || res.Run.NewMessages > 0 {
		t.Errorf("the next run: %+v, %v", res, err)
	}
}

// TestSettle: an archive that a crash left beside its successor is removed only if that is whole.
func TestSettle(t *testing.T) {
	m, _ := damageable(t)
	u, old := m.user(t), mustArchive(t, m)
	before := mustRead(t, old)
	m.compact(t, Keep{Last: 1}, always)
	now := mustArchive(t, m)
	whole := mustRead(t, now)
	mustPut(t, old, before)
	dir := rewriteDir(u)
	must(t, os.Mkdir(dir, 0o700))
	mustPut(t, filepath.Join(dir, replacesName), []byte(filepath.Base(old)+" "+filepath.Base(now)))

	bad := bytes.Clone(whole)
	bad[len(bad)/3] ^= 0x55
	mustPut(t, now, bad)
	if _, err := m.tryCompact(t, Keep{Last: 1}, always); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("the new one is damaged: %v", err)
	}
	if !bytes.Equal(mustRead(t, old), before) {
		t.Error("the old one is gone, and the new one is damaged")
	}
	mustPut(t, now, whole)
	m.compact(t, Keep{Last: 1}, always)
	if names := mustList(t, u.Dir); len(names) != 3 || mustArchive(t, m) != now {
		t.Errorf("left is %q", names)
	}
	m.check(t)
}
