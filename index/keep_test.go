package index_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// TestKeepWhileWritten: an index that is brought up to date after each gzip member, as another tool writes them, and once within each,
// is what a rebuild makes: also where a member is only a part of a run.
func TestKeepWhileWritten(t *testing.T) {
	dir := indextest.Store(t)
	path, keep := filepath.Join(dir, "backupdata-1254095700.tar.gz"), filepath.Join(t.TempDir(), "cache")
	var data []byte
	for i, entries := range []int{3, 1000, 1001, 5, 999, 1, 1000, 2} {
		member := foreignMember(t, i, entries)
		for _, b := range [][]byte{member[:len(member)/2], member[len(member)/2:]} {
			data = append(data, b...)
			mustWrite(t, path, data)
			a := mustOpen(t, path)
			if err := index.Keep(context.Background(), a, filepath.Join(keep, "index.sqlite3"), filepath.Join(keep, "lock"), "", nil); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, path, filepath.Join(keep, "index.sqlite3"))
		}
	}
	ix := mustOpenRead(t, filepath.Join(keep, "index.sqlite3"))
	if runs, err := ix.Runs(); err != nil || len(runs) != 5 {
		t.Errorf("%d runs, want 5, %v", len(runs), err)
	}
	if info, err := os.Stat(keep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestKeepMoved: where bytes of an archive are lost, an index that is kept outside its store knows what the store's knew: nothing else tells
// which message stood in the member that lost them.
func TestKeepMoved(t *testing.T) {
	dir := indextest.Store(t)
	path := indextest.Archive(t, dir, days(3, "one")...)
	theirs := filepath.Join(dir, "index.sqlite3")
	was := mustOpenRead(t, theirs)
	known, err := was.Runs()
	if err != nil {
		t.Fatal(err)
	}
	whole, first := mustReadFile(t, path), archive.Member{}
	for first = range mustOpen(t, path).Members(archive.Position{}) {
		break
	}
	cut := filepath.Join(t.TempDir(), filepath.Base(path))
	mustWrite(t, cut, slices.Concat(whole[:first.FileSize/2], whole[first.FileSize/2+3:]))
	keep := filepath.Join(t.TempDir(), "index.sqlite3")
	for _, what := range []string{"made", "kept"} {
		if err := index.Keep(context.Background(), mustOpen(t, cut), keep, keep+".lock", theirs, nil); err != nil {
			t.Fatal(err)
		}
		ix := mustOpenRead(t, keep)
		for _, r := range known {
			if got, want := messages(t, ix, r.Run.Run), messages(t, was, r.Run.Run); got != want {
				t.Errorf("%s, run %d: %s, want %s", what, r.Run.Run, got, want)
			}
		}
	}
}

// foreignMember is a gzip member as other tools write it, of so many messages.
func foreignMember(t *testing.T, run, entries int) []byte {
	t.Helper()
	begun := time.Date(2009, 9, 27, 23, 55, 0, 0, time.UTC)
	a, err := archive.Create(t.TempDir(), begun, archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		body := fmt.Sprintf("message %d of %d\r\n", i, run)
		sum := fmt.Sprintf("%x", sha1.Sum([]byte(body)))
		if _, err := a.Add(archive.Entry{Name: "files/" + sum, Linkname: sum, Type: archive.TypeFile, Size: int64(len(body))}, bytes.NewReader([]byte(body))); err != nil {
			t.Fatal(err)
		}
	}
	end, err := a.Finish(archive.Marker{Begun: begun})
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	tar, err := exec.Command("zcat", a.Path()).Output()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write(tar[:end.Offset]); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestKnownState reads the version out of the state that Cyrus's own tools keep, without leaving anything beside it.
func TestKnownState(t *testing.T) {
	real := filepath.Join(testenv.Fixtures(t), "cyrus313/archives/gz/meta/brong/backupstate.sqlite3")
	if err := index.KnownState(real); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	newer := filepath.Join(dir, "backupstate.sqlite3")
	mustWrite(t, newer, mustReadFile(t, real))
	mustTamper(t, newer, "UPDATE status SET version = 6")
	if err := index.KnownState(newer); err == nil {
		t.Error("version 6 is not told")
	}
	mustWrite(t, filepath.Join(dir, "rubbish"), []byte("rubbish"))
	for _, path := range []string{filepath.Join(dir, "rubbish"), filepath.Join(dir, "nothing"), ""} {
		if err := index.KnownState(path); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}
