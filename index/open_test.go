package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// days are n runs of one user, each a day after the one before, with one message more.
func days(n int, first string) []indextest.Run {
	runs := make([]indextest.Run, n)
	f := indextest.Folder{UniqueID: "a", Name: "INBOX"}
	for i := range runs {
		body := first
		if i > 0 {
			body = fmt.Sprint("message of day ", i)
		}
		f.Messages = append(f.Messages[:i:i], indextest.Message{UID: uint32(i + 1), Date: int64(i), Body: body})
		runs[i] = indextest.Run{Begun: time.Date(2009, 9, 27+i, 23, 55, 0, 0, time.UTC), Folders: []indextest.Folder{f}}
	}
	return runs
}

func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustReadFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustTamper(t testing.TB, path, sql string) {
	t.Helper()
	if err := index.Tamper(path, sql); err != nil {
		t.Fatal(err)
	}
}

func mustCheck(t testing.TB, archivePath, path string) {
	t.Helper()
	if err := index.Check(context.Background(), archivePath, path); err != nil {
		t.Fatal(err)
	}
}

// TestUnusable: what is no index of ours is ErrNone to a reader, and a writer puts a new one in its place.
func TestUnusable(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"missing":        func(t *testing.T, path string) { os.Remove(path) },
		"empty":          func(t *testing.T, path string) { mustWrite(t, path, nil) },
		"text":           func(t *testing.T, path string) { mustWrite(t, path, []byte(strings.Repeat("no index\n", 1000))) },
		"another schema": func(t *testing.T, path string) { mustTamper(t, path, "PRAGMA user_version = 99") },
		"another's":      func(t *testing.T, path string) { mustTamper(t, path, "PRAGMA application_id = 1") },
		"with a trigger": func(t *testing.T, path string) {
			mustTamper(t, path, "CREATE TRIGGER mine AFTER INSERT ON runs BEGIN DELETE FROM messages; END")
		},
		"a view for a table": func(t *testing.T, path string) { // to read it would take for ever
			mustTamper(t, path, "DROP TABLE members; CREATE VIEW members AS WITH RECURSIVE n(tar) AS (SELECT 1 UNION ALL SELECT tar FROM n) SELECT * FROM n")
		},
		"a column more":   func(t *testing.T, path string) { mustTamper(t, path, "ALTER TABLE members ADD COLUMN mine") },
		"a table more":    func(t *testing.T, path string) { mustTamper(t, path, "CREATE TABLE mine (x)") },
		"a table less":    func(t *testing.T, path string) { mustTamper(t, path, "DROP TABLE problems") },
		"an index of its": func(t *testing.T, path string) { mustTamper(t, path, "CREATE INDEX mine ON runs (abs(run))") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := indextest.Store(t)
			archivePath, path := indextest.Archive(t, dir, days(2, "one")...), filepath.Join(dir, "index.sqlite3")
			spoil(t, path)
			ix, err := index.OpenRead(path)
			if ix != nil || !errors.Is(err, index.ErrNone) || errors.Is(err, fs.ErrNotExist) != (name == "missing") || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v, %v", ix, err)
			}
			w := mustOpenWrite(t, path)
			if s, err := w.Status(); s != (index.Status{}) || err != nil {
				t.Fatalf("%+v, %v", s, err)
			}
			if err := w.CatchUp(context.Background(), mustOpen(t, archivePath), nil); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, archivePath, path)
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", st.Mode(), err)
			}
		})
	}
}

// TestReader: a reader has one descriptor, for reading only, and leaves the folder as it was.
func TestReader(t *testing.T) {
	dir := filepath.Join(indextest.Store(t), "a?b%41#c d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	indextest.Archive(t, dir, days(2, "one")...)
	path := filepath.Join(dir, "index.sqlite3")
	before := mustReadFile(t, path)
	ix := mustOpenRead(t, path)
	for m, err := range ix.Messages(1, 2) {
		if err != nil {
			t.Fatal(err)
		}
		// Nested questions, and a write of others between, are fine.
		if _, _, ok, err := ix.MessageByID(m.ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
		mode, n := descriptors(t, dir)
		if mode != os.O_RDONLY || n != 1 {
			t.Fatalf("%d descriptors, mode %d", n, mode)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if !bytes.Equal(before, mustReadFile(t, path)) {
		t.Error("reading changed the index")
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ix.Runs(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed index says %v", err)
	}
}

// descriptors counts those below dir, and returns the access mode of the last.
func descriptors(t testing.TB, dir string) (mode, n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); !strings.HasPrefix(target, dir+"/") {
			continue
		}
		n++
		for _, line := range strings.Split(string(mustReadFile(t, "/proc/self/fdinfo/"+fd.Name())), "\n") {
			fmt.Sscanf(line, "flags: %o", &mode)
		}
	}
	return mode & (os.O_WRONLY | os.O_RDWR), n
}

// TestAnotherArchive: an index that remembers runs which its archive has not (any more) starts anew.
func TestAnotherArchive(t *testing.T) {
	runs := days(2, "one")
	var older []byte // the archive with the first run only
	for name, change := range map[string]func(t *testing.T, dir, path string) string{
		"another history": func(t *testing.T, dir, path string) string {
			// Of the same length, so that only the marker's digest tells.
			want, err := mustOpenRead(t, filepath.Join(dir, "index.sqlite3")).Status()
			if err != nil {
				t.Fatal(err)
			}
			for n := range 1000 {
				other := indextest.NewWriter(t, t.TempDir())
				other.Run(runs[0])
				other.Close()
				mustWrite(t, other.Path(), older)
				run := days(2, "one")[1]
				run.Folders[0].Messages[1].Body = fmt.Sprintf("message %07d", n)
				end := other.Run(run).End
				other.Close()
				if end == want.End && lastMember(t, other.Path()) == lastMember(t, path) {
					mustWrite(t, path, mustReadFile(t, other.Path()))
					return path
				}
			}
			t.Fatal("no other history has the same length")
			return ""
		},
		"another name": func(t *testing.T, dir, path string) string {
			later := filepath.Join(dir, "backupdata-1999999999.tar.gz")
			if err := os.Rename(path, later); err != nil {
				t.Fatal(err)
			}
			return later
		},
		"another file": func(t *testing.T, dir, path string) string {
			mustWrite(t, path, mustReadFile(t, indextest.Archive(t, t.TempDir(), days(3, "two")...)))
			return path
		},
		"shorter": func(t *testing.T, dir, path string) string {
			ix := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
			runs, err := ix.Runs()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, runs[0].End.File); err != nil {
				t.Fatal(err)
			}
			return path
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := indextest.Store(t)
			w := indextest.NewWriter(t, dir)
			w.Run(runs[0])
			older = mustReadFile(t, w.Path())
			w.Run(runs[1])
			w.Close()
			archivePath, path := w.Path(), filepath.Join(dir, "index.sqlite3")
			ix := mustOpenWrite(t, path)
			if err := ix.CatchUp(context.Background(), mustOpen(t, archivePath), nil); err != nil {
				t.Fatal(err)
			}
			archivePath = change(t, dir, archivePath)
			if err := ix.CatchUp(context.Background(), mustOpen(t, archivePath), nil); err != nil {
				t.Fatal(err)
			}
			mustCheck(t, archivePath, path)
		})
	}
}

func lastMember(t testing.TB, path string) (last archive.Member) {
	t.Helper()
	for m, err := range mustOpen(t, path).Members(archive.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		last = m
	}
	return last
}

// mustLag makes an archive of two runs, the second of 3,000 messages, and an index that knows the first.
func mustLag(t *testing.T) (archivePath, indexPath string) {
	t.Helper()
	dir := indextest.Store(t)
	w := indextest.NewWriter(t, dir)
	runs := days(2, "one")
	w.Run(runs[0])
	path := filepath.Join(dir, "index.sqlite3")
	if err := index.Rebuild(context.Background(), w.Path(), path, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		runs[1].Folders[0].Messages = append(runs[1].Folders[0].Messages, indextest.Message{UID: uint32(i + 10), Body: fmt.Sprint("more ", i)})
	}
	w.Run(runs[1])
	w.Close()
	return w.Path(), path
}

// TestKilled: an index whose writer was killed within a transaction, half of it in the file, is as before to the next writer; a reader
// meanwhile refuses.
func TestKilled(t *testing.T) {
	archivePath, path := mustLag(t)
	copied := filepath.Join(t.TempDir(), "index.sqlite3")
	ix, err := index.OpenWriteSmall(path)
	if err != nil {
		t.Fatal(err)
	}
	err = ix.CatchUp(context.Background(), mustOpen(t, archivePath), func(done, total int64) {
		if done < total {
			return
		}
		for _, suffix := range []string{"", "-journal"} {
			mustWrite(t, copied+suffix, mustReadFile(t, path+suffix))
		}
	})
	if err := errors.Join(err, ix.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := index.OpenRead(copied); !errors.Is(err, index.ErrNone) {
		t.Errorf("half a transaction is read: %v", err)
	}
	killed := mustOpenWrite(t, copied)
	if s, err := killed.Status(); s.Runs != 1 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	mustCheck(t, archivePath, copied)
	if err := killed.CatchUp(context.Background(), mustOpen(t, archivePath), nil); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, archivePath, copied)
}

// TestFull: an index that finds the disk full says that, and nothing else, and is as before.
func TestFull(t *testing.T) {
	archivePath, path := mustLag(t)
	ix, err := index.OpenWriteFull(path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(ix.CatchUp(context.Background(), mustOpen(t, archivePath), nil), ix.Close())
	if want := path + ": no space left on device"; err == nil || err.Error() != want {
		t.Errorf("%q, not %q", err, want)
	}
	if s, err := mustOpenRead(t, path).Status(); s.Runs != 1 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSpoiltPages: an index of which any page is spoilt is found out, and mended.
func TestSpoiltPages(t *testing.T) {
	dir := indextest.Store(t)
	archivePath := indextest.Archive(t, dir, days(3, "one")...)
	path := filepath.Join(dir, "index.sqlite3")
	whole := mustReadFile(t, path)
	const page = 4096
	for at := 0; at < len(whole); at += page {
		spoilt := bytes.Clone(whole)
		for i := max(at, 100); i < at+page; i++ { // the first 100 bytes of the file are its header
			spoilt[i] = byte(i)
		}
		mustWrite(t, path, spoilt)
		if err := index.Check(context.Background(), archivePath, path); err == nil {
			t.Errorf("page %d is spoilt, and Check finds nothing", at/page)
		}
		if ix, err := index.OpenRead(path); err == nil {
			askAll(ix) // whatever it says, it says it without a panic
			if err := ix.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := index.Rebuild(context.Background(), archivePath, path, nil); err != nil {
			t.Fatal(err)
		}
		mustCheck(t, archivePath, path)
	}
	// CatchUp itself comes upon some.
	mustWrite(t, path, append(bytes.Clone(whole[:page]), bytes.Repeat([]byte{7}, len(whole)-page)...))
	ix := mustOpenWrite(t, path)
	if err := ix.CatchUp(context.Background(), mustOpen(t, archivePath), nil); err != nil {
		t.Fatal(err)
	}
	mustCheck(t, archivePath, path)
}

func askAll(ix *index.Index) {
	runs, _ := ix.Runs()
	for _, r := range runs {
		folders, _ := ix.Folders(r.Run.Run)
		for _, f := range folders {
			for m, err := range ix.Messages(f.ID, r.Run.Run) {
				if err == nil {
					ix.Member(m.Tar)
				}
			}
			ix.Metas(f.ID, r.Run.Run)
		}
	}
	ix.States()
	ix.Problems()
	ix.Status()
}

// TestWhileWritten: readers see whole runs while a writer brings them, one by one.
func TestWhileWritten(t *testing.T) {
	dir := indextest.Store(t)
	path := filepath.Join(dir, "index.sqlite3")
	runs := days(12, "one")
	w := indextest.NewWriter(t, dir)
	w.Run(runs[0])
	writer := mustOpenWrite(t, path)
	a := mustOpen(t, w.Path())
	if err := writer.CatchUp(context.Background(), a, nil); err != nil {
		t.Fatal(err)
	}
	reader := mustOpenRead(t, path)
	done := make(chan struct{})
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
				}
				known, err := reader.Runs()
				if err != nil {
					return err
				}
				n := 0
				for _, err := range reader.Messages(1, len(known)) {
					if err != nil {
						return err
					}
					n++
				}
				if n != len(known) {
					return fmt.Errorf("%d messages as of run %d", n, len(known))
				}
			}
		})
	}
	for _, r := range runs[1:] {
		w.Run(r)
		if err := writer.CatchUp(context.Background(), a, nil); err != nil {
			t.Error(err)
		}
	}
	close(done)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if s, err := reader.Status(); s.Runs != len(runs) || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	w.Close()
}
