package backup

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
	"backupfs/lock"
)

// always is a Live of which each archive has less, from which anything goes.
const always = 1

func (m *model) tryCompact(t rapid.TB, keep Keep, live float64) (*Compacted, error) {
	t.Helper()
	return Compact(context.Background(), m.user(t), CompactOptions{Keep: keep, Live: live, Append: archive.AppendOptions{Workers: 1}})
}

// compact compacts, and notes which dates have to be left.
func (m *model) compact(t rapid.TB, keep Keep, live float64) *Compacted {
	t.Helper()
	res, err := m.tryCompact(t, keep, live)
	if err != nil {
		t.Fatal(err)
	}
	if res.Path != "" {
		m.drop(t, keep)
	}
	return res
}

// drop forgets the dates that are not kept. What a marker says of where it stands is taken as it is.
func (m *model) drop(t rapid.TB, keep Keep) {
	t.Helper()
	begun := make([]time.Time, len(m.dates))
	for i, d := range m.dates {
		begun[i] = d.run.Begun
	}
	kept := keep.Kept(begun, time.UTC)
	var dates []dateView
	for i, d := range m.dates {
		if kept[i] {
			dates = append(dates, d)
		}
	}
	m.dates = dates
	m.moved(t)
}

// moved takes offsets and digests of the runs from the archive.
func (m *model) moved(t rapid.TB) {
	t.Helper()
	runs, err := Runs(context.Background(), m.user(t))
	if err != nil || len(runs) != len(m.dates) {
		t.Fatalf("%d runs, want %d, %v", len(runs), len(m.dates), err)
	}
	for i, r := range runs {
		m.dates[i].run.Offset, m.dates[i].run.Digest = r.Offset, r.Digest
	}
}

func drawKeep(t *rapid.T) Keep {
	n := func(what string) int { return rapid.IntRange(0, 3).Draw(t, what) }
	return Keep{Last: n("last"), Daily: n("daily"), Weekly: n("weekly"), Monthly: n("monthly")}
}

// TestCompactedHistories compacts random histories of a server at random, and compares every date that is left with the server at that
// time.
func TestCompactedHistories(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	n, done := 0, 0
	testenv.Check(t, func(t *rapid.T) {
		n++
		m := newModel(t, filepath.Join(root, fmt.Sprint(n)))
		defer func() { _ = os.RemoveAll(m.st.Root) }()
		for range rapid.IntRange(2, 9).Draw(t, "days") {
			day(t, m.server)
			m.run(t)
			m.server.calm()
			if rapid.IntRange(0, 2).Draw(t, "compacts") == 0 {
				if m.compact(t, drawKeep(t), always).Path != "" {
					done++
				}
				if err := m.compare(m.user(t).Index()); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.check(t)
		u := m.user(t)
		if err := index.Check(context.Background(), mustArchive(t, m), u.Index()); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(u.Dir); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return e.IsDir() }) || len(left) != 3 {
			t.Fatalf("%v, %v", left, err)
		}
	})
	t.Logf("%d histories, %d compactions", n, done)
}

// TestCompactFaults has each durable operation of a compaction go wrong in each way. Whatever it is, the user has one archive that counts,
// the old one or the new one, which shows all that it has to; and the next compaction, and the next run, succeed.
func TestCompactFaults(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	keep := Keep{Last: 2}
	for kind, fault := range faults {
		t.Run(kind, func(t *testing.T) {
			for op, done := 0, false; !done; op++ {
				m := scenario(t, filepath.Join(root, fmt.Sprint(kind, op)), func(t rapid.TB, m *model) { m.run(t); m.run(t) })
				m.run(t)
				u, old := m.user(t), mustArchive(t, m)
				before := mustRead(t, old)
				what, err := fault.at(op, func() error {
					_, err := m.tryCompact(t, keep, always)
					return err
				})
				if done = what == ""; (err == nil) != done {
					t.Errorf("%s: %v", what, err)
				}
				switch now := mustArchive(t, m); {
				case now != old:
					if err := index.Rebuild(context.Background(), now, u.Index(), nil); err != nil { // it is a cache
						t.Error(err)
					}
					m.drop(t, keep)
				case !bytes.Equal(mustRead(t, old), before):
					t.Errorf("%s: the old archive was changed", what)
				}
				if err := m.compare(u.Index()); err != nil {
					t.Error(err)
				}
				m.compact(t, keep, always)
				m.recover(t, fmt.Sprintf("operation %d, %s, %s", op, what, kind))
				if left := mustList(t, u.Dir); len(left) != 3 {
					t.Fatalf("operation %d, %s, %s: left is %q", op, what, kind, left)
				}
			}
		})
	}
}

func mustList(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestCompactNothing: where nothing is to go, or it does not pay, or nothing is to be done, nothing is.
func TestCompactNothing(t *testing.T) {
	m, _ := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	before := mustRead(t, path)
	for what, opts := range map[string]CompactOptions{
		"all are kept":    {Keep: Keep{Daily: 3}, Live: always},
		"it does not pay": {Keep: Keep{Daily: 2}, Live: 0.01},
		"only to see":     {Keep: Keep{Daily: 2}, Live: always, DryRun: true},
	} {
		res, err := Compact(context.Background(), u, opts)
		if err != nil {
			t.Fatal(what, err)
		}
		if res.Path != "" || len(res.Kept)+len(res.Dropped) != 3 || res.Pays != (what == "only to see") || res.Live <= 0 || res.Live > 1 {
			t.Errorf("%s: %+v", what, res)
		}
		if names := mustList(t, u.Dir); !bytes.Equal(mustRead(t, path), before) || len(names) != 3 {
			t.Errorf("%s: something was changed: %q", what, names)
		}
	}
	release, err := lock.File(u.Lock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.tryCompact(t, Keep{Last: 1}, always); !errors.Is(err, lock.ErrBusy) {
		t.Errorf("while the user is being backed up: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Compact(ctx, u, CompactOptions{Keep: Keep{Last: 1}, Live: always}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if names := mustList(t, u.Dir); !bytes.Equal(mustRead(t, path), before) || len(names) != 3 {
		t.Errorf("something was changed: %q", names)
	}
}

// TestCompactSize: what a dry run says of the size is what comes out, about, and what comes out needs no other compaction.
func TestCompactSize(t *testing.T) {
	m, _ := damageable(t)
	keep := Keep{Last: 1}
	would, err := Compact(context.Background(), m.user(t), CompactOptions{Keep: keep, Live: always, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	res := m.compact(t, keep, always)
	if res.Before != would.Before || res.Dead != would.Dead || res.After < would.After*8/10 || res.After > would.After*12/10 || res.After >= res.Before {
		t.Errorf("%+v, and would be %+v", res, would)
	}
	if res = m.compact(t, keep, always); res.Path != "" || res.Live != 1 || res.Dead != (index.Bytes{}) {
		t.Errorf("again: %+v", res)
	}
	m.check(t)
}

// TestCompactDamaged: a damaged archive is not touched, whatever is damaged.
func TestCompactDamaged(t *testing.T) {
	m, members := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	whole := mustRead(t, path)
	for i, mem := range members {
		bad := bytes.Clone(whole)
		bad[mem.File+mem.FileSize/2] ^= 0x55
		mustPut(t, path, bad)
		if _, err := m.tryCompact(t, Keep{Last: 1}, always); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("member %d: %v", i, err)
		}
		if names := mustList(t, u.Dir); !bytes.Equal(mustRead(t, path), bad) || len(names) != 3 {
			t.Fatalf("member %d: something was changed: %q", i, names)
		}
	}
	mustPut(t, path, whole)
	m.compact(t, Keep{Last: 1}, always)
	m.check(t)
}

// TestCompactWithoutIndex: an index that is wrong, or missing, is made anew first: it is a cache, and a compaction goes by it.
func TestCompactWithoutIndex(t *testing.T) {
	for what, spoil := range map[string]string{
		"missing": "", "it lacks a message": "DELETE FROM messages WHERE uid = 1", "it lacks a folder's name": "DELETE FROM names WHERE archived <> 'INBOX'",
		"it knows a message as gone": "UPDATE messages SET last = first WHERE uid = 2", "it knows a run at another time": "UPDATE runs SET begun = begun + 1",
	} {
		t.Run(what, func(t *testing.T) {
			m, _ := damageable(t)
			if spoil == "" {
				if err := os.Remove(m.user(t).Index()); err != nil {
					t.Fatal(err)
				}
			} else {
				mustSQL(t, m.user(t).Index(), spoil)
			}
			if res := m.compact(t, Keep{Last: 2}, always); res.Path == "" {
				t.Errorf("%+v", res)
			}
			m.check(t)
		})
	}
}

func mustSQL(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(text)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestCompactCopies: members of which all is kept, in the same order, are taken over byte by byte but for their headers; so most of a
// first backup is. Those of which something goes are not.
func TestCompactCopies(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		body := make([]byte, 3000)
		for i := range body {
			body[i] = "abcdefghijklmnop"[rng.IntN(16)]
		}
		m.server.add(m.server.boxes[0], body, body)
	}
	m.run(t)
	path := mustArchive(t, m)
	first, before := mustMembers(t, path), mustRead(t, path)
	// Two that stand in the midst of members go.
	box := m.server.boxes[0]
	box.msgs = slices.DeleteFunc(box.msgs, func(msg *fakeMsg) bool { return msg.rec.UID == 110 || msg.rec.UID == 290 })
	for range 3 {
		m.server.addGood(box)
		m.run(t)
	}
	m.compact(t, Keep{Last: 1}, always)
	m.check(t)
	m.nothingDead(t)
	after, copied, n := mustRead(t, mustArchive(t, m)), 0, 0
	for _, mem := range first {
		if mem.TarSize < archive.MemberSize/2 {
			continue
		}
		n++
		if bytes.Contains(after, before[mem.File+archive.MemberHeaderSize:mem.End().File]) {
			copied++
		}
	}
	if n < 5 || copied < n-3 || copied > n-2 { // the last one has the index, too
		t.Errorf("%d of %d members were copied", copied, n)
	}
}

// TestCompactNoSpace: where there is no room for a new archive, nothing is begun.
func TestCompactNoSpace(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal("mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	m := newModel(t, filepath.Join(dir, "store"))
	for range 3 {
		m.server.addGood(m.server.boxes[0])
		m.run(t)
	}
	full, err := os.Create(filepath.Join(dir, "full"))
	must(t, err)
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	must(t, full.Close())
	if _, err := m.tryCompact(t, Keep{Last: 1}, always); !errors.Is(err, ErrNoSpace) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if names := mustList(t, m.user(t).Dir); len(names) != 3 {
		t.Errorf("left is %q", names)
	}
	must(t, os.Remove(full.Name()))
	m.compact(t, Keep{Last: 1}, always)
	m.check(t)
}

// TestCompactEmpty: an archive without a complete run, as a full disk leaves it, is left alone.
func TestCompactEmpty(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	u := m.user(t)
	must(t, u.Make())
	path := filepath.Join(u.Dir, "backupdata-1254000000.tar.gz")
	for _, content := range []string{"", "torn"} {
		mustPut(t, path, []byte(content))
		if res, err := m.tryCompact(t, Keep{Last: 1}, always); err != nil || res.Path != "" || len(res.Kept) > 0 {
			t.Errorf("%q: %+v, %v", content, res, err)
		}
		if got := string(mustRead(t, path)); got != content {
			t.Errorf("%q was made %q", content, got)
		}
	}
}

// TestCompactTorn: what stands behind the last run, which did not finish, is moved aside and stays.
func TestCompactTorn(t *testing.T) {
	m, _ := damageable(t)
	path := mustArchive(t, m)
	mustPut(t, path, append(mustRead(t, path), "torn"...))
	m.compact(t, Keep{Last: 1}, always)
	m.check(t)
	torn, err := filepath.Glob(path + ".torn-*")
	if err != nil || len(torn) != 1 || string(mustRead(t, torn[0])) != "torn" {
		t.Errorf("%q, %v", torn, err)
	}
}
