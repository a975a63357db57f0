package index_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// model compares an index with what a server went through.
type model struct{ *indextest.Server }

// compare asks the index everything about every run.
func (m model) compare(t testing.TB, ix *index.Index, a *archive.Archive) {
	runs, err := ix.Runs()
	if err != nil || len(runs) != len(m.History) {
		t.Fatalf("%d runs, not %d: %v", len(runs), len(m.History), err)
	}
	lives := map[int64]string{} // by row, what it stands for
	for i, s := range m.History {
		if r := runs[i]; r.Run.Run != i+1 || !r.Begun.Equal(s.Run.Begun) || r.Inferred || r.Folders != len(s.Run.Folders) {
			t.Errorf("run %d is %+v", i+1, r)
		}
		m.compareRun(t, ix, a, i+1, s, lives)
	}
	m.compareStates(t, ix)
	compareLives(t, ix)
	s, err := ix.Status()
	if last := runs[len(runs)-1]; err != nil || s.Runs != len(runs) || s.End != last.End || s.Archive != filepath.Base(a.Path()) {
		t.Errorf("status %+v behind %+v, %v", s, last, err)
	}
}

func (m model) compareRun(t testing.TB, ix *index.Index, a *archive.Archive, run int, s indextest.Snapshot, lives map[int64]string) {
	folders, err := ix.Folders(run)
	if err != nil || len(folders) != len(s.Run.Folders) || !slices.IsSortedFunc(folders, func(a, b index.Folder) int { return slices.Compare(a.Path, b.Path) }) {
		t.Fatalf("run %d: folders %+v, not %+v, %v", run, folders, s.Run.Folders, err)
	}
	for _, want := range s.Run.Folders {
		i := slices.IndexFunc(folders, func(f index.Folder) bool { return f.Archived == want.Name })
		if i < 0 || folders[i].UniqueID != want.UniqueID || !slices.Equal(folders[i].Path, cyrus.TreePath(want.Name)) {
			t.Fatalf("run %d: folders %+v lack %+v", run, folders, want)
		}
		f := folders[i]
		dir, ok, err := int64(0), true, error(nil)
		for _, name := range f.Path {
			if ok && err == nil {
				dir, ok, err = ix.DirIn(dir, name)
			}
		}
		if dir != f.Dir || !ok || err != nil {
			t.Errorf("%q is directory %d, %v, %v, not %d", f.Path, dir, ok, err, f.Dir)
		}
		m.compareMessages(t, ix, a, run, f, want, s.GUIDs[f.UniqueID], lives)
		metas := map[string]string{"cyrus.index": string(want.Index(t)), "cyrus.header": string(want.Header()), "cyrus.annotations": want.Annotations}
		compareMetas(t, ix, a, f.ID, run, metas)
	}
	compareMetas(t, ix, a, 0, run, map[string]string{"sub": s.Run.Sub})
}

func (m model) compareMessages(t testing.TB, ix *index.Index, a *archive.Archive, run int, f index.Folder, want indextest.Folder, guids []cyrus.GUID, lives map[int64]string) {
	var got []index.Message
	for msg, err := range ix.Messages(f.ID, run) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, msg)
	}
	mustBeEach(t, ix, f.ID, run, got)
	n := 0
	for i, w := range want.Messages {
		if w.Unlinked {
			continue
		}
		if n == len(got) {
			t.Fatalf("run %d, %s: %+v lacks UID %d", run, f.Archived, got, w.UID)
		}
		g := got[n]
		n++
		if g.UID != w.UID || g.GUID != guids[i] || g.InternalDate != w.Date || g.Expunged != w.Expunged || (g.Tar >= 0) != m.Has(guids[i]) || g.Lost {
			t.Fatalf("run %d, %s: %+v, not %+v, %s", run, f.Archived, g, w, guids[i])
		}
		if g.Tar >= 0 {
			if body := mustRead(t, ix, a, g.Tar, g.Size); cyrus.GUID(sha1.Sum(body)) != guids[i] {
				t.Fatalf("run %d, %s: bytes of %+v are %q", run, f.Archived, g, body)
			}
			if at, ok, err := ix.FileAt(g.Tar); !ok || err != nil || at.GUID != g.GUID || at.Size != g.Size || at.Tar != g.Tar || at.FileMtime != g.FileMtime {
				t.Errorf("at %d is %+v, %v, %v, not %+v", g.Tar, at, ok, err, g)
			}
			if from, err := ix.FilesFrom(g.Tar, 2); err != nil || from[0] != (index.Stretch{Tar: g.Tar, Size: g.Size}) || len(from) > 1 && from[1].Tar <= g.Tar {
				t.Errorf("from %d on there is %+v, %v", g.Tar, from, err)
			}
		} else if g.Size != int64(len(w.Body)) && guids[i].IsZero() {
			t.Errorf("run %d, %s: %+v is missing and not of %d bytes", run, f.Archived, g, len(w.Body))
		}
		// A row is one life: the same as long as nothing changes, and never anything else.
		life := fmt.Sprint(f.ID, g.UID, g.GUID, g.Expunged, g.InternalDate)
		if before, ok := lives[g.ID]; ok && before != life {
			t.Errorf("row %d is %s and was %s", g.ID, life, before)
		}
		lives[g.ID] = life
		for what, one := range map[string]func() (index.Message, bool, error){
			"UID": func() (index.Message, bool, error) { return ix.Message(f.ID, run, g.UID) },
			"row": func() (index.Message, bool, error) {
				m, folder, ok, err := ix.MessageByID(g.ID)
				return m, ok && folder == f.ID, err
			},
		} {
			if o, ok, err := one(); o != g || !ok || err != nil {
				t.Errorf("by %s: %+v, %v, %v, not %+v", what, o, ok, err, g)
			}
		}
		if has, err := ix.HasFile(guids[i]); has != m.Has(guids[i]) || err != nil {
			t.Errorf("HasFile of %s says %v, %v", guids[i], has, err)
		}
	}
	if n != len(got) {
		t.Fatalf("run %d, %s: %+v beyond %+v", run, f.Archived, got, want.Messages)
	}
}

// compareMetas wants the files in contents, of which the empty ones are not there, and at most cyrus.backupfs besides.
func compareMetas(t testing.TB, ix *index.Index, a *archive.Archive, folder int64, run int, contents map[string]string) {
	metas, err := ix.Metas(folder, run)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, meta := range metas {
		body := mustRead(t, ix, a, meta.Tar, meta.Size)
		if cyrus.GUID(sha1.Sum(body)) != meta.SHA1 {
			t.Errorf("run %d: %+v is %q", run, meta, body)
		}
		if at, ok, err := ix.MetaAt(meta.Tar); at != meta || !ok || err != nil {
			t.Errorf("at %d is %+v, %v, %v", meta.Tar, at, ok, err)
		}
		if meta.Name != "cyrus.backupfs" {
			got[meta.Name] = string(body)
		}
	}
	for name, content := range contents {
		if got[name] != content {
			t.Errorf("run %d, folder %d: %s is %q, not %q", run, folder, name, got[name], content)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("run %d, folder %d: %q beyond", run, folder, got)
	}
}

func (m model) compareStates(t testing.TB, ix *index.Index) {
	states, err := ix.States()
	if err != nil {
		t.Fatal(err)
	}
	last := m.History[len(m.History)-1].Run
	for _, f := range last.Folders {
		s := states[f.UniqueID]
		if !slices.Equal(s.Names, []string{f.Name}) || s.Fingerprint == "" || s.Exceptions.Fingerprint != s.Fingerprint {
			t.Errorf("%s: state %+v", f.Name, s)
		}
		metas, err := ix.Metas(s.Folder, len(m.History))
		if err != nil || len(metas) != len(s.Metas) {
			t.Errorf("%s: %d files, not %d, %v", f.Name, len(s.Metas), len(metas), err)
		}
		for _, meta := range metas {
			if s.Metas[meta.Name] != meta {
				t.Errorf("%s: %+v, not %+v", f.Name, s.Metas[meta.Name], meta)
			}
		}
		delete(states, f.UniqueID)
	}
	for id, s := range states {
		if len(s.Names) > 0 {
			t.Errorf("%s has names %q, and is gone", id, s.Names)
		}
	}
}

// mustRead reads bytes of the tar stream by way of the index's members.
func mustRead(t testing.TB, ix *index.Index, a *archive.Archive, tar, size int64) []byte {
	body := make([]byte, 0, size)
	for int64(len(body)) < size {
		m, err := ix.Member(tar)
		if err != nil {
			t.Fatal(err)
		}
		b, err := a.Inflate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		b = b[tar-m.Tar:]
		b = b[:min(int64(len(b)), size-int64(len(body)))]
		body, tar = append(body, b...), tar+int64(len(b))
	}
	return body
}

func mustOpen(t testing.TB, path string) *archive.Archive {
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func mustOpenWrite(t testing.TB, path string) *index.Index {
	ix, err := index.OpenWrite(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

func mustOpenRead(t testing.TB, path string) *index.Index {
	ix, err := index.OpenRead(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

// TestModel: whatever a server does, every run as of which one may ask is as it was, also from an index that was caught up
// after each run, with interruptions, and from a rebuilt one; and both have the same rows.
func TestModel(t *testing.T) {
	root := indextest.Store(t)
	n := 0
	testenv.Check(t, func(r *rapid.T) {
		tb := indextest.Rapid(t, r)
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			r.Fatal(err)
		}
		w := indextest.NewWriter(tb, dir)
		m := model{indextest.NewServer()}
		path := filepath.Join(dir, "index.sqlite3")
		ix := mustOpenWrite(tb, path)
		for range rapid.IntRange(1, 6).Draw(r, "runs") {
			for range rapid.IntRange(0, 5).Draw(r, "changes") {
				m.Change(r)
			}
			w.Run(m.Run())
			if rapid.Bool().Draw(r, "behind") {
				continue
			}
			catchUp(tb, ix, w.Path(), rapid.Bool().Draw(r, "interrupted"))
		}
		w.Close()
		catchUp(tb, ix, w.Path(), false)
		a := mustOpen(tb, w.Path())
		m.compare(tb, ix, a)
		if err := index.Check(context.Background(), w.Path(), path); err != nil {
			r.Fatal(err)
		}
		if err := index.Rebuild(context.Background(), w.Path(), path, nil); err != nil {
			r.Fatal(err)
		}
		m.compare(tb, mustOpenRead(tb, path), a)
	})
}

// catchUp brings an index up to date; interrupted, it is stopped half way before, and must be as it was.
func catchUp(t testing.TB, ix *index.Index, path string, interrupted bool) {
	a := mustOpen(t, path)
	if interrupted {
		before, err := ix.Status()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		err = ix.CatchUp(ctx, a, func(int64, int64) { cancel() })
		after, serr := ix.Status()
		if serr != nil {
			t.Fatal(serr)
		}
		if errors.Is(err, context.Canceled) && !reflect.DeepEqual(before, after) {
			t.Fatalf("interrupted, the index is at %+v and was at %+v", after, before)
		}
		cancel()
	}
	if err := ix.CatchUp(context.Background(), a, nil); err != nil {
		t.Fatal(err)
	}
}
