package indextest

import (
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"

	"backupfs/archive"
)

// recorder is a test whose clean-up is run by hand.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   bool
	said     string
}

func (r *recorder) Cleanup(f func())  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool      { return r.failed }
func (r *recorder) Error(args ...any) { r.said += fmt.Sprintln(args...) }

func (r *recorder) end() string {
	for i := len(r.cleanups); i > 0; i-- {
		r.cleanups[i-1]()
	}
	return r.said
}

// TestStore: each thing that a test can leave wrong is said, and nothing else.
func TestStore(t *testing.T) {
	run := Run{Begun: time.Unix(1254175711, 0), Folders: []Folder{{UniqueID: "a", Name: "INBOX", Messages: []Message{{UID: 1, Body: "one"}}}}}
	for name, c := range map[string]struct {
		leave func(t *testing.T, root string)
		want  string
	}{
		"nothing": {func(*testing.T, string) {}, ""},
		"descriptor": {func(t *testing.T, root string) {
			f, err := os.Create(filepath.Join(root, "left open"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
		}, "left open"},
		"goroutine": {func(t *testing.T, root string) {
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			go func() { <-stop }()
		}, "goroutine"},
		"mount": {func(t *testing.T, root string) {
			at := filepath.Join(root, "a mount")
			if err := os.Mkdir(at, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mount("none", at, "tmpfs", 0, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
		}, "still mounted"},
		"row":                   {func(t *testing.T, root string) { tamper(t, filepath.Join(root, "index.sqlite3")) }, "in a rebuild"},
		"what tar does not see": {func(t *testing.T, root string) { hide(t, root) }, "tarfile does not see"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			root := Store(r)
			Archive(t, root, run)
			c.leave(t, root)
			if said := r.end(); (said == "") != (c.want == "") || !strings.Contains(said, c.want) {
				t.Errorf("%q, not %q", said, c.want)
			}
		})
	}
	failed := &recorder{TB: t}
	root := Store(failed)
	Archive(t, root, run)
	tamper(t, filepath.Join(root, "index.sqlite3"))
	failed.failed = true
	if said := failed.end(); said != "" {
		t.Errorf("of a failed test it is said %q", said)
	}
}

// hide adds an archive in which zeros, which end an archive for tar, stand between two runs.
func hide(t *testing.T, root string) {
	t.Helper()
	dir := filepath.Join(root, "hidden")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ap, err := archive.Create(dir, time.Unix(1254175711, 0), archive.AppendOptions{})
	for range 2 {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ap.Finish(archive.Marker{Begun: time.Unix(1254175711, 0)}); err != nil {
			t.Fatal(err)
		}
		if err := ap.Close(); err != nil {
			t.Fatal(err)
		}
		f, err2 := os.OpenFile(ap.Path(), os.O_APPEND|os.O_WRONLY, 0)
		if err2 != nil {
			t.Fatal(err2)
		}
		w := gzip.NewWriter(f)
		w.Write(make([]byte, 1024))
		if err := errors.Join(w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		ap, _, err = archive.OpenAppend(ap.Path(), archive.Hint{}, archive.AppendOptions{})
	}
	if err := errors.Join(err, ap.Close()); err != nil {
		t.Fatal(err)
	}
}

// tamper gives a message in an index another date.
func tamper(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE messages SET internaldate = internaldate + 1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
