package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/durable"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
)

// imports is an archive of another tool's, compressed or not, that is imported.
type imports struct{ from store.User }

func newImports(t *testing.T, gz bool) *imports {
	t.Helper()
	root, cache := t.TempDir(), t.TempDir()
	path := filepath.Join(root, "cassandane", "backupdata-1795508103.tar.gz")
	must(t, os.Mkdir(filepath.Dir(path), 0o700))
	b, err := os.ReadFile(filepath.Join(testenv.Fixtures(t), "cyrus313/archives/default-gz/data/cassandane", filepath.Base(path)))
	must(t, err, os.WriteFile(path, b, 0o600))
	if !gz {
		out, err := exec.Command("gunzip", path).CombinedOutput()
		must(t, err)
		if len(out) > 0 {
			t.Fatal(string(out))
		}
	}
	st, err := store.OpenForeign(context.Background(), root, cache)
	must(t, err)
	users, err := st.Users()
	must(t, err)
	x := &imports{from: users[0]}
	x.keep(t)
	return x
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// keep brings the index of the original up to date.
func (x *imports) keep(t *testing.T) {
	t.Helper()
	a, err := archive.Open(x.path(t))
	must(t, err)
	defer a.Close()
	must(t, index.Keep(context.Background(), a, x.from.Index(), x.from.Lock(), "", nil))
}

func (x *imports) path(t *testing.T) string {
	t.Helper()
	path, err := x.from.Archive()
	must(t, err)
	return path
}

// mustHave checks that a user has been imported whole, or has no archive and nothing that looks like damage. The index is made last.
func (x *imports) mustHave(t *testing.T, u store.User, what string) (whole bool) {
	t.Helper()
	known := 0
	if ix, err := index.OpenRead(u.Index()); err == nil {
		status, err := ix.Status()
		must(t, err, ix.Close())
		known = status.Runs
	}
	if _, err := u.Archive(); errors.Is(err, os.ErrNotExist) {
		if known > 0 {
			t.Errorf("%s: an index without an archive knows %d runs", what, known)
		}
		return false
	}
	if report := mustVerify(t, u); report.Damage() > 0 || report.Runs != 3 || known != 0 && known != 3 || known == 3 && report.Index != nil {
		t.Errorf("%s: %+v, and the index knows %d runs", what, report, known)
	}
	return true
}

// TestImportFaults has each durable operation of an import go wrong in each way. Whatever it is, the user is imported as a whole or not
// at all, the next import succeeds, and leaves nothing but what belongs there.
func TestImportFaults(t *testing.T) {
	testenv.SetMemory(t)
	for _, gz := range []bool{true, false} {
		for kind, fault := range faults {
			t.Run(fmt.Sprintf("%s gz=%v", kind, gz), func(t *testing.T) {
				root := t.TempDir() // mustHave checks what is in it
				x := newImports(t, gz)
				for op, done := 0, false; !done; op++ {
					st, err := store.Init(filepath.Join(root, fmt.Sprint(op)))
					must(t, err)
					u, err := st.User("cassandane")
					must(t, err)
					what, err := fault.at(op, func() error {
						_, err := Import(context.Background(), st, x.from, ImportOptions{})
						return err
					})
					done = what == ""
					if (err == nil) != done {
						t.Errorf("%s: the import's error is %v", what, err)
					}
					x.mustHave(t, u, what)
					res, err := Import(context.Background(), st, x.from, ImportOptions{})
					if err != nil || res.Index != nil || !x.mustHave(t, u, what+", again") {
						t.Fatalf("%s: again: %+v, %v", what, res, err)
					}
					if entries, err := os.ReadDir(u.Dir); err != nil || len(entries) != 3 { // archive, index, lock
						t.Errorf("%v, %v", entries, err)
					}
				}
			})
		}
	}
}

// TestImportCancelled cancels an import at each of its steps.
func TestImportCancelled(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	x := newImports(t, false)
	for at, done := 0, false; !done; at += 3 {
		st, err := store.Init(filepath.Join(root, fmt.Sprint(at)))
		must(t, err)
		u, err := st.User("cassandane")
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var n atomic.Int64
		step := func() {
			if n.Add(1)-1 == int64(at) {
				cancel()
			}
		}
		restore := durable.InjectFault(func(string, string) error { step(); return nil })
		_, err = Import(ctx, st, x.from, ImportOptions{Progress: func(string, int64, int64) { step() }})
		restore()
		cancel()
		done = n.Load() <= int64(at)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("step %d: %v", at, err)
		}
		if whole := x.mustHave(t, u, fmt.Sprint("step ", at)); whole != (err == nil) {
			t.Errorf("step %d: imported %v, %v", at, whole, err)
		}
	}
}

// TestImportRefused: nothing that is damaged is imported, nor anything beside another archive of the user; and what was imported stays
// imported, also when our runs stand behind it.
func TestImportRefused(t *testing.T) {
	ctx := context.Background()
	x := newImports(t, false)
	st, err := store.Init(filepath.Join(indextest.Store(t), "store"))
	must(t, err)
	u, err := st.User("cassandane")
	must(t, err)
	whole, err := os.ReadFile(x.path(t))
	must(t, err)

	at := bytes.Index(whole, []byte("files/")) + 2*archive.BlockSize - 1 // in the first message
	damaged := bytes.Clone(whole)
	damaged[at] ^= 0x20
	must(t, os.WriteFile(x.path(t), damaged, 0o600))
	if _, err := Import(ctx, st, x.from, ImportOptions{}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("a message that is damaged: %v", err)
	}
	x.mustHave(t, u, "damaged")
	must(t, os.WriteFile(x.path(t), whole, 0o600))

	if res, err := Import(ctx, st, x.from, ImportOptions{DryRun: true}); err != nil || res.Already || len(res.Runs) != 3 {
		t.Errorf("a dry run: %+v, %v", res, err)
	}
	if _, err := u.Archive(); err == nil {
		t.Error("a dry run imported")
	}
	for i, already := range []bool{false, true, true} {
		if res, err := Import(ctx, st, x.from, ImportOptions{}); err != nil || res.Already != already {
			t.Errorf("import %d: %+v, %v", i, res, err)
		}
	}
	path, err := u.Archive()
	must(t, err)
	app, _, err := archive.OpenAppend(path, archive.Hint{}, archive.AppendOptions{})
	must(t, err)
	_, err = app.Finish(archive.Marker{})
	must(t, err, app.Close(), os.Remove(u.Index()))
	if res, err := Import(ctx, st, x.from, ImportOptions{}); err != nil || !res.Already {
		t.Errorf("a run of ours behind it: %+v, %v", res, err)
	}
	// Cyrus's tools went on as well: that is another history.
	must(t, os.WriteFile(x.path(t), append(bytes.Clone(whole), whole...), 0o600))
	x.keep(t)
	if _, err := Import(ctx, st, x.from, ImportOptions{}); !errors.Is(err, ErrOther) {
		t.Errorf("another history: %v", err)
	}
	if report := mustVerify(t, u); report.Damage() > 0 || report.Runs != 4 {
		t.Errorf("%+v", report)
	}
}
