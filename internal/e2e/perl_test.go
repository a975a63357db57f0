package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// perlStores are what Cyrus's own Cyrus::Backup wrote in three runs, and whose mail it is.
var perlStores = map[string]string{"gz": "brong", "tar": "brong", "default-gz": "cassandane"}

// perlTruth is what IMAP said before a run of theirs.
func perlTruth(t testing.TB, run int) *truth.Truth {
	t.Helper()
	tr, err := truth.Load(fmt.Sprintf("%s/cyrus313/truth/run%d.json", testenv.Fixtures(t), run))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// perlStore copies one of their stores, and makes the link in its meta folder that the fixtures have as a text.
func perlStore(t testing.TB, kind string) (root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "perl")
	if out, err := exec.Command("cp", "-r", filepath.Join(testenv.Fixtures(t), "cyrus313/archives", kind), root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	links, err := filepath.Glob(root + "/meta/*/backupdata-*")
	if err != nil || len(links) != 1 {
		t.Fatal(links, err)
	}
	target, err := os.ReadFile(links[0])
	if err == nil {
		err = os.Remove(links[0])
	}
	if err == nil {
		err = os.Symlink(string(target), links[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// readOnly mounts a folder on itself, so that nothing can be written there, until the test ends.
func readOnly(t testing.TB, dir string) {
	t.Helper()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// files tells what there is in a folder, with times, to see whether anybody wrote there.
func files(t testing.TB, dir string) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `cd "$0" && find . -printf '%p %m %s %T@ %C@\n' | sort`, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestPerlStores mounts, lists and verifies stores of Cyrus::Backup as they lie, with their state and without it, and compares each
// run with what IMAP said before it. Nothing is written to them.
func TestPerlStores(t *testing.T) {
	for kind, user := range perlStores {
		for name, state := range map[string]bool{"": true, " without state": false} {
			t.Run(kind+name, func(t *testing.T) {
				t.Setenv("XDG_CACHE_HOME", t.TempDir())
				root := perlStore(t, kind)
				if !state {
					if err := os.RemoveAll(root + "/meta"); err != nil {
						t.Fatal(err)
					}
				}
				before := files(t, root)
				if state {
					readOnly(t, root)
				}
				dir, unmount := mustMount(t, root)
				mustHoldPerl(t, dir, root, user)
				unmount()
				dir, unmount = mustMount(t, root, "-o", "flags")
				for i, r := range mustList(t, root, user) {
					mustEqualFlags(t, filepath.Join(dir, user, r.Date), perlTruth(t, i+1), user)
				}
				unmount()
				mustRun(t, 0, "backupd", "verify", "--store", root)
				if after := files(t, root); after != before {
					t.Errorf("the store was written to: before\n%safter\n%s", before, after)
				}
			})
		}
	}
}

// mustHoldPerl compares the three runs of a user in a mount, and in the list, with the truth.
func mustHoldPerl(t testing.TB, dir, store, user string) {
	t.Helper()
	runs := mustList(t, store, user)
	if len(runs) != 3 {
		t.Fatalf("%d runs, want 3", len(runs))
	}
	for i, r := range runs {
		mustEqual(t, filepath.Join(dir, user, r.Date), perlTruth(t, i+1), user)
	}
	mustEqual(t, filepath.Join(dir, user, "latest"), perlTruth(t, 3), user)
}

// TestPerlStoreChanges: what Cyrus::Backup does to a store that is mounted is seen: a run appended, a run cut off within, and another
// appended, a compaction, which makes a new archive beside the old one and then removes that; a user who comes.
func TestPerlStoreChanges(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	whole := filepath.Join(testenv.Fixtures(t), "cyrus313/archives/gz/data/brong/backupdata-1795508101.tar.gz")
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var ends []int64
	for m, err := range a.Members(archive.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, m.End().File)
	}
	root := t.TempDir()
	home := filepath.Join(root, "disk1", "brong")
	path := filepath.Join(home, "backupdata-1795508101.tar.gz")
	put := func(path string, b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(path, data[:ends[0]])
	dir, _ := mustMount(t, root)
	seen := func(what string, user string, runs int) {
		t.Helper()
		var got []listedRun
		for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			got = mustList(t, root, user)
			entries, err := os.ReadDir(filepath.Join(dir, user))
			if len(got) == runs && err == nil && len(entries) == runs+3 { // all, deleted, and the link
				break
			}
			if time.Since(start) > patience {
				t.Fatalf("%s: %s has %d runs in the list, want %d; in the mount %v, %v", what, user, len(got), runs, entries, err)
			}
		}
		mustEqual(t, filepath.Join(dir, user, "latest"), perlTruth(t, runs), user)
	}
	seen("one run", "brong", 1)
	put(path, data[:ends[1]])
	seen("a run more", "brong", 2)
	put(path, data[:ends[1]+100])
	seen("a run that is being written", "brong", 2)
	put(path, data)
	seen("it is complete", "brong", 3)
	put(path, data[:ends[0]])
	seen("cut back", "brong", 1)
	put(filepath.Join(home, "backupdata-1795600000.tar.gz"), bytes.Clone(data[:1000]))
	seen("a compaction that is under way", "brong", 1)
	put(filepath.Join(home, "backupdata-1795600000.tar.gz"), data[:ends[1]])
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	seen("compacted", "brong", 2)

	other, err := os.ReadFile(filepath.Join(testenv.Fixtures(t), "cyrus313/archives/default-gz/data/cassandane/backupdata-1795508103.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	put(filepath.Join(root, "disk2/cassandane/backupdata-1795508103.tar.gz"), other)
	seen("a user who came", "cassandane", 3)
	if after := files(t, root); bytes.Contains([]byte(after), []byte("sqlite")) || bytes.Contains([]byte(after), []byte("lock")) {
		t.Errorf("the store was written to:\n%s", after)
	}
	mustRun(t, 0, "backupd", "verify", "--store", root)
}
