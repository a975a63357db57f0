package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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
	"backupfs/internal/testenv"
)

// TestDamageMatrix: whatever happens to whichever bytes of an archive, nothing wrong is read as right at any date; what no damage hit is
// there, and what still comes out right of what it hit; verify names exactly what cannot be read, and a repair loses nothing that could be.
func TestDamageMatrix(t *testing.T) {
	testenv.SetMemory(t)
	m, members := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	whole, known := mustRead(t, path), mustRead(t, u.Index())
	want, _ := mustContents(t, u)
	n, saved := 0, 0
	for d := range indextest.Matrix(whole, members, telling(members)) {
		if n++; n%stride() > 0 {
			continue
		}
		mustPut(t, path, d.Bytes)
		mustPut(t, u.Index(), known)
		got, fits := mustContents(t, u)
		bad := unreadable(t, d, whole, want, got, fits)
		saved += len(want) - len(bad)
		for _, w := range want {
			if !slices.ContainsFunc(d.Hit, func(m archive.Member) bool { return partIn(w, m) != nil }) {
				saved--
			}
		}
		report := mustVerify(t, u)
		named := namedIn(report)
		if fits && !slices.Equal(named, bad) {
			t.Errorf("%s: verify names %q, and what cannot be read is %q", d.What, named, bad)
		}
		if (len(d.Hit) > 0) != errors.Is(report.Err(), archive.ErrDamaged) && len(bad) > 0 {
			t.Errorf("%s: verify: %v", d.What, report.Err())
		}
		lost := bad
		if !fits {
			lost = slices.Collect(maps.Keys(want))
		}
		repaired(t, u, d.What, path, want, lost, errors.Is(report.Err(), archive.ErrDamaged))
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d kinds of damage, %d files at all dates; %d times one in a damaged member was read", n, len(want), saved)
	if n < 500 || saved < 100 {
		t.Errorf("only %d kinds of damage, %d files read", n, saved)
	}
}

// namedIn is what a report names as damaged, at each date, sorted.
func namedIn(r *Report) (names []string) {
	for _, f := range r.Damaged {
		for _, date := range f.Dates {
			names = append(names, date+" "+f.What())
		}
	}
	slices.Sort(names)
	return names
}

// repaired repairs an archive, first only to see, and checks that all that is not named as lost is as it was, at every date, and that
// what is lost is known as such from then on, and could not be read before either. Then it is as before.
func repaired(t *testing.T, u store.User, what, path string, want map[string]indextest.Content, bad []string, damaged bool) {
	t.Helper()
	before := mustRead(t, path)
	for _, write := range []bool{false, true} {
		res, err := Repair(context.Background(), u, RepairOptions{Write: write, Append: archive.AppendOptions{Workers: 1}})
		if err != nil {
			t.Fatalf("%s: repair: %v", what, err)
		}
		if res.Nothing == damaged {
			t.Errorf("%s: repair finds nothing: %t, verify finds damage: %t", what, res.Nothing, damaged)
		}
		if !write {
			if now, err := u.Archive(); err != nil || now != path || !bytes.Equal(mustRead(t, path), before) {
				t.Errorf("%s: a repair that only looks changed %s, %v", what, now, err)
			}
		}
		if res.Nothing {
			return
		}
		if !write {
			continue
		}
		if !bytes.Equal(mustRead(t, res.Aside), before) {
			t.Errorf("%s: the damaged archive was not kept", what)
		}
		lost := map[string]bool{}
		for _, l := range res.Lost {
			lost[l.SHA1] = true
		}
		got, fits := mustContents(t, u)
		if !fits {
			t.Errorf("%s: the index does not fit the repaired archive", what)
		}
		for name, w := range want {
			g, ok := got[name]
			is := lost[fmt.Sprintf("%x", sha1.Sum(w.Bytes))]
			switch {
			case strings.HasSuffix(name, "cyrus.backupfs"):
			case !ok || g.Err != nil:
				if !is || !slices.Contains(bad, name) {
					t.Errorf("%s: repaired: %s is gone, named: %t, readable before: %t: %v", what, name, is, !slices.Contains(bad, name), g.Err)
				}
			case !bytes.Equal(g.Bytes, w.Bytes):
				if !is || !strings.HasSuffix(name, "cyrus.index") || !slices.Contains(bad, name) {
					t.Errorf("%s: repaired: %s has other bytes", what, name)
				}
			}
		}
		report := mustVerify(t, u)
		if report.Err() != nil || report.Runs != 3 {
			t.Errorf("%s: repaired: verify: %v: %+v", what, report.Err(), report)
		}
		if err := errors.Join(os.Remove(res.Path), os.Remove(res.Aside)); err != nil {
			t.Fatal(err)
		}
	}
}

// stride is how much of the matrix is left out: nothing under torture. It shares no factor with the numbers of kinds and regions.
func stride() int {
	if testenv.Torture() {
		return 1
	}
	return 13
}

// damageable is a store whose archive has members of all kinds.
func damageable(t *testing.T) (*model, []archive.Member) {
	t.Helper()
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	rng := rand.New(rand.NewPCG(1, 2))
	body := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnop"[rng.IntN(16)] // deflates to a half
		}
		return b
	}
	for _, large := range []int{600_000, 70_000, 70_000} {
		for _, size := range []int{9000, 300, 5000} {
			b := body(size)
			m.server.add(m.server.boxes[0], b, b)
		}
		b := body(large)
		m.server.add(m.server.boxes[1], b, b)
		b = body(3000)
		m.server.add(m.server.boxes[2], b, b)
		m.run(t)
		m.server.boxes[0].msgs[m.days].rec.SystemFlags |= cyrus.FlagExpunged
		m.server.changed(m.server.boxes[0])
	}
	return m, mustMembers(t, mustArchive(t, m))
}

// telling are members of which one is like all others: the first, one within a large message, one in the middle of a run, a marker
// in the middle, the last two.
func telling(members []archive.Member) []archive.Member {
	find := func(is func(m archive.Member) bool) archive.Member {
		return members[1+slices.IndexFunc(members[1:], is)]
	}
	return []archive.Member{
		members[0],
		find(func(m archive.Member) bool { return m.First == archive.NoEntry }),
		find(func(m archive.Member) bool { return m.First != archive.NoEntry && m.First > 0 }),
		find(func(m archive.Member) bool { return m.Marker }),
		members[len(members)-2],
		members[len(members)-1],
	}
}

// unreadable reads everything at all dates as the mount does. What differs from what is wanted must be an error, and lie in a member that
// was hit and of which it does not come out any more; it is returned.
func unreadable(t *testing.T, d indextest.Damage, whole []byte, want, got map[string]indextest.Content, fits bool) (bad []string) {
	t.Helper()
	tars := comesOut(d, whole)
	for name, w := range want {
		g, ok := got[name]
		if ok && g.Err == nil {
			if !bytes.Equal(g.Bytes, w.Bytes) {
				t.Errorf("%s: %s has other bytes", d.What, name)
			}
			continue
		}
		if ok && !errors.Is(g.Err, archive.ErrDamaged) {
			t.Errorf("%s: %s: %v", d.What, name, g.Err)
		}
		if fits && !slices.ContainsFunc(d.Hit, func(m archive.Member) bool {
			part := partIn(w, m)
			return part != nil && !bytes.HasPrefix(tars[m][min(max(w.Tar-m.Tar, 0), int64(len(tars[m]))):], part)
		}) {
			t.Errorf("%s: %s cannot be read, and was not hit, or comes out right: %v", d.What, name, g.Err)
		}
		bad = append(bad, name)
	}
	// A header without its MTIME is one of another tool, by chance, and its run two of the same time: twice what was there once.
	there := map[int64][]byte{}
	for _, w := range want {
		there[w.Tar] = w.Bytes
	}
	for name, g := range got {
		if _, ok := want[name]; !ok && g.Err == nil && !bytes.Equal(g.Bytes, there[g.Tar]) {
			t.Errorf("%s: %s was not there", d.What, name)
		}
	}
	slices.Sort(bad)
	return bad
}

// partIn is what a member has of a content; nil if nothing.
func partIn(w indextest.Content, m archive.Member) []byte {
	from, to := max(w.Tar, m.Tar), min(w.Tar+int64(len(w.Bytes)), m.End().Tar)
	if from >= to {
		return nil
	}
	return w.Bytes[from-w.Tar : to-w.Tar]
}

// comesOut is what still comes out of the members that were hit; nothing of one whose header was lost while what stands behind it was moved, so
// that nobody knows where it begins.
func comesOut(d indextest.Damage, whole []byte) map[archive.Member][]byte {
	tars := map[archive.Member][]byte{}
	for _, m := range d.Hit {
		at := min(m.File, int64(len(d.Bytes)))
		if len(d.Bytes) == len(whole) || bytes.HasPrefix(d.Bytes[at:], whole[m.File:m.File+archive.MemberHeaderSize]) {
			tars[m] = indextest.ComesOut(d.Bytes, m)
		}
	}
	return tars
}

// mustContents reads all that the dates of a user show, as the mount does: by the store's index if it fits the archive or knows all of it, else by one
// that is made anew. Names are those of Finding, behind the date.
func mustContents(t *testing.T, u store.User) (all map[string]indextest.Content, fits bool) {
	t.Helper()
	path, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ix, err := index.OpenRead(u.Index())
	if err == nil {
		defer ix.Close()
		if fits, err = ix.Fits(a); err != nil {
			t.Fatal(err)
		}
	}
	if !fits {
		file := filepath.Join(t.TempDir(), "index.sqlite3")
		if fits, err = index.Moved(context.Background(), a, u.Index(), file); err != nil {
			t.Fatal(err)
		}
		if !fits {
			err = index.Rebuild(context.Background(), path, file, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if ix, err = index.OpenRead(file); err != nil {
			t.Fatal(err)
		}
		defer ix.Close()
	}
	if all, err = indextest.Contents(ix, a); err != nil {
		t.Fatal(err)
	}
	return all, fits
}
