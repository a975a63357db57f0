package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
)

// torture is one store, a server of three days, and what each date has to show.
type torture struct {
	t     *testing.T
	rng   *rand.Rand
	root  string
	user  store.User
	dates map[string]map[string][]byte // by a run's number: contents by name
	runs  int                          // that returned success

	kills, killed, flips, compared int
}

// TestKilled kills the programs at random moments of a backup, a reindex, a compaction and a repair. A run that returned success is there ever after,
// as it was; one that did not is there whole or not at all; the next run succeeds; nothing is damaged. BACKUPFS_TORTURE is for how many
// seconds, BACKUPFS_SEED repeats what an earlier one did, as far as the moments allow.
func TestKilled(t *testing.T) {
	x := newTorture(t)
	x.check()
	for over := x.over(); !over(); {
		switch x.rng.IntN(5) {
		case 0:
			x.kill("reindex", "--store", x.store(), "alice")
		case 1:
			x.repair()
		case 2:
			x.compact()
		default:
			x.kill(x.backupArgs(x.rng.IntN(3))...)
		}
		x.backup(x.rng.IntN(3))
		x.check()
	}
	t.Logf("crashes survived: %d of %d processes killed in time; bytes flipped: %d; runs: %d; messages and files compared: %d",
		x.killed, x.kills, x.flips, x.runs, x.compared)
}

// over says when it is enough.
func (x *torture) over() func() bool {
	seconds, err := strconv.Atoi(os.Getenv("BACKUPFS_TORTURE"))
	if err != nil {
		seconds = 8
	}
	until := time.Now().Add(time.Duration(seconds) * time.Second)
	return func() bool { return x.t.Failed() || time.Now().After(until) }
}

// newTorture has a store with a run of the first day.
func newTorture(t *testing.T) *torture {
	t.Helper()
	seed := testenv.Seed(t)
	testenv.SetMemory(t)
	x := &torture{t: t, rng: rand.New(rand.NewPCG(seed, 1)), root: t.TempDir(), dates: map[string]map[string][]byte{}}
	x.spools()
	x.backup(0)
	st, err := store.Open(x.store())
	if err != nil {
		t.Fatal(err)
	}
	if x.user, err = st.User("alice"); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *torture) store() string { return filepath.Join(x.root, "store") }

// spools unpacks the server's days.
func (x *torture) spools() {
	x.t.Helper()
	for day := range 3 {
		dir := filepath.Join(x.root, fmt.Sprint("day", day))
		spool := fmt.Sprintf("../../testdata/spools/day%d.tar.gz", day+1)
		// Locks are made as the user who owns their folder, and who is not root: he must get there.
		script := `mkdir "$1"; tar -xzf "$2" -C "$1"; chown -R nobody "$1"; chmod 0755 "$1" "$3" "$(dirname "$3")"`
		if out, err := exec.Command("sh", "-ec", script, "sh", dir, spool, x.root).CombinedOutput(); err != nil {
			x.t.Fatalf("%v: %s", err, out)
		}
		conf := filepath.Join(dir, "imapd.conf")
		b, err := os.ReadFile(conf)
		if err == nil {
			err = os.WriteFile(conf, bytes.ReplaceAll(b, []byte("@ROOT@"), []byte(dir)), 0o644)
		}
		if err != nil {
			x.t.Fatal(err)
		}
	}
}

func (x *torture) backupArgs(day int) []string {
	return []string{"backup", "--store", x.store(), "--imapd-conf", filepath.Join(x.root, fmt.Sprint("day", day), "imapd.conf"),
		"--mailbox-list", "spool", "--json", "alice"}
}

// backup makes a run that has to succeed.
func (x *torture) backup(day int) {
	x.t.Helper()
	x.mustBackUp(x.backupArgs(day)...)
}

func (x *torture) mustBackUp(args ...string) {
	x.t.Helper()
	o := run(x.t, "backupd", args...)
	if o.code != 0 && o.code != 3 || !strings.Contains(o.stdout, `"run":`) {
		x.t.Fatalf("backup: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	x.runs++
}

// kill runs backupd and kills it after a moment; usually it has not ended by then.
func (x *torture) kill(args ...string) {
	x.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "backupd"), args...)
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	time.Sleep(time.Duration(x.rng.IntN(60_000)) * time.Microsecond)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	x.kills++
	if !cmd.ProcessState.Exited() {
		x.killed++
	}
}

// check verifies the archive, and compares all dates with what they showed when they were made.
func (x *torture) check() {
	x.t.Helper()
	if o := run(x.t, "backupd", "verify", "--store", x.store()); o.code != 0 {
		x.t.Fatalf("verify: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	if err := indextest.CheckAll(x.store()); err != nil {
		x.t.Fatal(err)
	}
	now := x.contents()
	for date, was := range x.dates {
		if len(now[date]) != len(was) {
			x.t.Errorf("run %s has %d files, and had %d", date, len(now[date]), len(was))
		}
		for name, b := range was {
			x.compared++
			if got, ok := now[date][name]; !ok || !bytes.Equal(got, b) {
				x.t.Errorf("run %s: %s is gone or another", date, name)
			}
		}
	}
	x.dates = now
}

// contents are those of all runs, by their number.
func (x *torture) contents() map[string]map[string][]byte {
	x.t.Helper()
	path, err := x.user.Archive()
	if err != nil {
		x.t.Fatal(err)
	}
	a, err := archive.Open(path)
	if err != nil {
		x.t.Fatal(err)
	}
	defer a.Close()
	ix, err := index.OpenRead(x.user.Index())
	if err != nil {
		x.t.Fatal(err)
	}
	defer ix.Close()
	runs, err := ix.Runs()
	if err != nil {
		x.t.Fatal(err)
	}
	all, err := indextest.Contents(ix, a)
	if err != nil {
		x.t.Fatal(err)
	}
	numbers := map[string]string{} // dates get other names when later runs come
	for _, r := range runs {
		numbers[r.Date] = fmt.Sprint(r.Run.Run)
	}
	byRun := map[string]map[string][]byte{}
	for name, c := range all {
		date, file, _ := strings.Cut(name, " ")
		if byRun[numbers[date]] == nil {
			byRun[numbers[date]] = map[string][]byte{}
		}
		if c.Err == nil { // the server had no file for others
			byRun[numbers[date]][file] = c.Bytes
		}
	}
	return byRun
}

// compact kills a compaction to some of the last runs; the one after it ends. These show what they did, and the others are gone.
func (x *torture) compact() {
	x.t.Helper()
	all := slices.SortedFunc(maps.Keys(x.dates), func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	last := 1 + x.rng.IntN(len(all))
	args := []string{"compact", "--store", x.store(), "--keep", fmt.Sprint("last=", last), "--live", "100", "alice"}
	x.kill(args...)
	if o := run(x.t, "backupd", args...); o.code != 0 {
		x.t.Fatalf("compact: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	now := x.contents()
	for i, date := range all {
		if (now[date] != nil) != (i >= len(all)-last) {
			x.t.Errorf("compacted to %d of runs %q: run %s is there: %t", last, all, date, now[date] != nil)
			continue
		}
		for name, got := range now[date] {
			x.compared++
			// What was stored for the fingerprint alone is made anew.
			if was, ok := x.dates[date][name]; !ok || !bytes.Equal(got, was) && !strings.HasSuffix(name, "cyrus.backupfs") {
				x.t.Errorf("compacted: run %s: %s was not there, or is another", date, name)
			}
		}
		if now[date] != nil && len(now[date]) != len(x.dates[date]) {
			x.t.Errorf("compacted: run %s has %d files, and had %d", date, len(now[date]), len(x.dates[date]))
		}
	}
	x.dates = now
}

// repair spoils a copy of the archive and kills its repair; the one after it ends. All that is not named is as it was. Then the archive is
// whole again.
func (x *torture) repair() {
	x.t.Helper()
	keep := filepath.Join(x.root, "keep")
	if err := os.CopyFS(keep, os.DirFS(x.user.Dir)); err != nil {
		x.t.Fatal(err)
	}
	path, err := x.user.Archive()
	if err != nil {
		x.t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	for range 1 + x.rng.IntN(3) {
		b[x.rng.IntN(len(b))] ^= byte(1 + x.rng.IntN(255))
		x.flips++
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		x.t.Fatal(err)
	}
	args := []string{"repair", "--store", x.store(), "--write", "alice"}
	x.kill(args...)
	o := run(x.t, "backupd", args...)
	if o.code != 0 && o.code != 3 {
		x.t.Fatalf("repair: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	if o := run(x.t, "backupd", "verify", "--store", x.store()); o.code != 0 {
		x.t.Fatalf("verify after a repair: exit code %d\n%s%s", o.code, o.stdout, o.stderr)
	}
	now := x.contents()
	if got, want := slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(x.dates)); !slices.Equal(got, want) {
		x.t.Errorf("repaired: runs %q, and there were %q", got, want)
	}
	for date, was := range x.dates {
		for name, b := range was {
			x.compared++
			got, ok := now[date][name]
			// A list of messages is made again without flags, where it was lost; the last run's fingerprints are taken away.
			if ok && !bytes.Equal(got, b) && !strings.HasSuffix(name, "cyrus.index") && !strings.HasSuffix(name, "cyrus.backupfs") {
				x.t.Errorf("repaired: run %s: %s is another", date, name)
			}
		}
	}
	if err := errors.Join(os.RemoveAll(x.user.Dir), os.Rename(keep, x.user.Dir)); err != nil {
		x.t.Fatal(err)
	}
}
