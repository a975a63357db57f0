package index_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestDamagedArchive: whichever member of an archive is damaged, an index can be made of the rest. Runs that ended before the damage
// are as they were, and nothing is claimed that was not so.
func TestDamagedArchive(t *testing.T) {
	dir := indextest.Store(t)
	runs := days(3, "one")
	for i := range 3000 { // an index that does not fit into one member
		runs[1].Folders[0].Messages = append(runs[1].Folders[0].Messages, indextest.Message{UID: uint32(100 + i), Body: fmt.Sprint("body ", i)})
	}
	runs[1].Folders[0].Version = 20
	runs[2].Folders[0].Name = "INBOX.Renamed" // without the marker of run 2, the old name lasts up to a run that is not there
	archivePath := indextest.Archive(t, dir, runs...)
	whole := mustReadFile(t, archivePath)
	was := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
	known, err := was.Runs()
	if err != nil {
		t.Fatal(err)
	}
	lost := map[string]int{} // how often by entry
	for m, err := range mustOpen(t, archivePath).Members(archive.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		spoilt := bytes.Clone(whole)
		spoilt[m.File+m.FileSize/2] ^= 0x55
		path := filepath.Join(t.TempDir(), filepath.Base(archivePath))
		mustWrite(t, path, spoilt)
		ixPath := path + ".sqlite3"
		if err := index.Rebuild(context.Background(), path, ixPath, nil); err != nil {
			t.Fatalf("damaged at %d: %v", m.File, err)
		}
		mustCheck(t, path, ixPath)
		ix := mustOpenRead(t, ixPath)
		if m.Marker {
			compareLives(t, ix)
		}
		for _, p := range mustProblems(t, ix) {
			lost[p.Entry]++
		}
		compareDamaged(t, was, ix, known, m)
	}
	if lost["folders/a/cyrus.index"] == 0 || lost[""] < 10 {
		t.Errorf("lost were %v", lost)
	}
}

// compareDamaged compares the index of an archive with that of one in which m is damaged.
func compareDamaged(t *testing.T, was, ix *index.Index, known []index.Run, m archive.Member) {
	t.Helper()
	after, err := ix.Runs()
	if err != nil {
		t.Fatal(err)
	}
	var want []int
	for _, r := range known {
		// A run without its marker is part of the next, and the last one did not happen.
		if !m.Marker || r.End != m.End() {
			want = append(want, r.Run.Run)
		}
		if r.End.File <= m.File && messages(t, was, r.Run.Run) != messages(t, ix, r.Run.Run) {
			t.Errorf("damaged at %d, run %d, which ends at %d, is another", m.File, r.Run.Run, r.End.File)
		}
	}
	var got []int
	for _, r := range after {
		got = append(got, r.Run.Run)
		for msg, err := range ix.Messages(1, r.Run.Run) {
			if err != nil {
				t.Fatal(err)
			}
			if at, ok, err := was.FileAt(msg.Tar); msg.Tar >= 0 && (!ok || err != nil || at.GUID != msg.GUID || at.Size != msg.Size) {
				t.Errorf("%+v is %+v, %v, %v", msg, at, ok, err)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("damaged at %d (marker: %v), there are runs %d, not %d", m.File, m.Marker, got, want)
	}
	last := known[len(known)-1]
	if m.Marker && m.End().Tar <= last.Start && messages(t, was, last.Run.Run) != messages(t, ix, last.Run.Run) {
		t.Errorf("a marker lost at %d makes run %d another", m.File, last.Run.Run)
	}
}

func messages(t testing.TB, ix *index.Index, run int) string {
	t.Helper()
	var all bytes.Buffer
	for m, err := range ix.Messages(1, run) {
		if err != nil {
			t.Fatal(err)
		}
		m.ID, m.File = 0, 0 // rows are counted among what is left
		fmt.Fprintf(&all, "%+v\n", m)
	}
	return all.String()
}

func mustProblems(t testing.TB, ix *index.Index) []index.Problem {
	t.Helper()
	p, err := ix.Problems()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// failing is an archive whose bytes from a place on are lost at a later moment.
type failing struct {
	io.ReaderAt
	from int64
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, off)
	if end := off + int64(n); end > f.from {
		clear(p[max(0, f.from-off):n])
	}
	return n, err
}

// TestMarkerLostMeanwhile: a marker that was there when the end was looked for, and cannot be read a moment later, leaves nothing of
// its run in the index.
func TestMarkerLostMeanwhile(t *testing.T) {
	dir := indextest.Store(t)
	path := indextest.Archive(t, dir, days(2, "one")...)
	whole := mustReadFile(t, path)
	runs, err := mustOpenRead(t, filepath.Join(dir, "index.sqlite3")).Runs()
	if err != nil {
		t.Fatal(err)
	}
	r := &failing{bytes.NewReader(whole), int64(len(whole))}
	a := archive.NewArchive(r, func() (int64, error) { return int64(len(whole)), nil }, path)
	ix := mustOpenWrite(t, filepath.Join(t.TempDir(), "index.sqlite3"))
	err = ix.CatchUp(context.Background(), a, func(int64, int64) { r.from = runs[1].End.File - 100 })
	if err != nil {
		t.Fatal(err)
	}
	if s, err := ix.Status(); s.End != runs[0].End || s.Runs != 1 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if got := messages(t, ix, 1<<30); got != messages(t, ix, 1) {
		t.Errorf("of a run that has no end there is\n%s", got)
	}
	r.from = int64(len(whole))
	if err := ix.CatchUp(context.Background(), a, nil); err != nil {
		t.Fatal(err)
	}
	if s, err := ix.Status(); s.End != runs[1].End || s.Runs != 2 || err != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
