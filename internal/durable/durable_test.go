package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

var errDisk = errors.New("disk on fire")

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, f, "hello, world")
	if err := f.Truncate(5); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, f, "!")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Open(path); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mustWrite(t, f, "?")
	if got := mustRead(t, path); got != "hello!?" || f.Size() != 7 {
		t.Errorf("%q, size %d", got, f.Size())
	}
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a file: %v", err)
	}
	if _, err := Open(filepath.Dir(path)); err == nil {
		t.Error("a folder is opened as a file")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
}

// After any failure a File fails for good, whether or not the operation took effect.
func TestFailedFileStaysFailed(t *testing.T) {
	for _, op := range []string{"write", "sync", "truncate"} {
		for name, fail := range map[string]error{"failed": errDisk, "took effect": Late(errDisk)} {
			t.Run(op+"/"+name, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "f")
				f, err := Create(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				mustWrite(t, f, "ab")
				restore := InjectFault(func(o, p string) error {
					if o == op && p == path {
						return fail
					}
					return nil
				})
				switch op {
				case "write":
					_, err = f.Write([]byte("c"))
				case "sync":
					err = f.Sync()
				case "truncate":
					err = f.Truncate(1)
				}
				restore()
				if !errors.Is(err, errDisk) {
					t.Fatalf("reported: %v", err)
				}
				late := name == "took effect"
				want := map[string]map[bool]string{
					"write": {false: "ab", true: "abc"}, "sync": {false: "ab", true: "ab"}, "truncate": {false: "ab", true: "a"},
				}[op][late]
				if got := mustRead(t, path); got != want {
					t.Errorf("the file holds %q, want %q", got, want)
				}
				if err := f.Sync(); !errors.Is(err, ErrFailed) || !errors.Is(err, errDisk) {
					t.Errorf("a later sync: %v", err)
				}
				if _, err := f.Write([]byte("x")); !errors.Is(err, ErrFailed) {
					t.Errorf("a later write: %v", err)
				}
			})
		}
	}
}

// What is durable already is not synced again; what is not, is, whoever wrote it.
func TestSyncOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("another's, in memory only"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syncs := 0
	defer InjectFault(func(op, _ string) error {
		if op == "sync" {
			syncs++
		}
		return nil
	})()
	mustSync := func(want int, after string) {
		t.Helper()
		for range 2 {
			if err := f.Sync(); err != nil || syncs != want {
				t.Fatalf("after %s: %v, %d syncs, want %d", after, err, syncs, want)
			}
		}
	}
	mustSync(1, "opening")
	mustWrite(t, f, "x")
	mustSync(2, "a write")
	if err := f.Truncate(3); err != nil {
		t.Fatal(err)
	}
	mustSync(3, "a truncation")
}

func TestSkip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer InjectFault(func(op, _ string) error { return ErrSkip })()
	if err := f.Truncate(5); err != nil || f.Size() != 0 {
		t.Errorf("%v, size %d", err, f.Size())
	}
}

// Whatever fails, the path holds the old content or the new one.
func TestWriteFile(t *testing.T) {
	for _, op := range []string{"", "create", "write", "sync", "rename", "syncdir"} {
		for name, fail := range map[string]error{"failed": errDisk, "took effect": Late(errDisk)} {
			path := filepath.Join(t.TempDir(), "f")
			if err := WriteFile(path, []byte("old")); err != nil {
				t.Fatal(err)
			}
			restore := InjectFault(func(o, _ string) error {
				if o == op {
					return fail
				}
				return nil
			})
			err := WriteFile(path, []byte("new"))
			restore()
			got := mustRead(t, path)
			if (err == nil) != (op == "") || err == nil && got != "new" || got != "old" && got != "new" {
				t.Errorf("%q %s: %q, %v", op, name, got, err)
			}
			if err := WriteFile(path, []byte("again")); err != nil || mustRead(t, path) != "again" {
				t.Errorf("%q %s, again: %v", op, name, err)
			}
		}
	}
}

func mustWrite(t *testing.T, f *File, s string) {
	t.Helper()
	if n, err := f.Write([]byte(s)); err != nil || n != len(s) {
		t.Fatal(n, err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
