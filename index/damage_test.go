package index_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"backupfs/index"
	"backupfs/index/indextest"
)

// TestDamagedArchive: wherever an archive is damaged, an index can be made of the rest. Runs that ended before the damage are
// as they were, and nothing is claimed that was not so.
func TestDamagedArchive(t *testing.T) {
	dir := indextest.Store(t)
	runs := days(3, "one")
	for i := range 300 { // some more members
		runs[1].Folders[0].Messages = append(runs[1].Folders[0].Messages, indextest.Message{UID: uint32(100 + i), Body: fmt.Sprint(i, bytes.Repeat([]byte{'x', byte(i)}, 4000))})
	}
	archivePath := indextest.Archive(t, dir, runs...)
	whole := mustReadFile(t, archivePath)
	was := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
	known, err := was.Runs()
	if err != nil {
		t.Fatal(err)
	}
	const places = 60
	told := 0
	for i := range places {
		at := len(whole) * i / places
		spoilt := bytes.Clone(whole)
		for j := range 8 {
			spoilt[min(at+j, len(spoilt)-1)] ^= 0x55
		}
		path := filepath.Join(t.TempDir(), filepath.Base(archivePath))
		mustWrite(t, path, spoilt)
		ixPath := path + ".sqlite3"
		if err := index.Rebuild(context.Background(), path, ixPath, nil); err != nil {
			t.Fatalf("damaged at %d of %d: %v", at, len(whole), err)
		}
		mustCheck(t, path, ixPath)
		ix := mustOpenRead(t, ixPath)
		after, err := ix.Runs()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range known {
			if r.End.File <= int64(at) {
				if r.Run.Run > len(after) || messages(t, was, r.Run.Run) != messages(t, ix, r.Run.Run) {
					t.Errorf("damaged at %d, run %d, which ends at %d, is another", at, r.Run.Run, r.End.File)
				}
			}
		}
		problems, err := ix.Problems()
		if err != nil {
			t.Fatal(err)
		}
		if len(problems) > 0 || len(after) < len(known) {
			told++
		}
		for _, r := range after {
			for m, err := range ix.Messages(1, r.Run.Run) {
				if err != nil {
					t.Fatal(err)
				}
				if at, ok, err := was.FileAt(m.Tar); m.Tar >= 0 && (!ok || err != nil || at.GUID != m.GUID || at.Size != m.Size) {
					t.Errorf("%+v is %+v, %v, %v", m, at, ok, err)
				}
			}
		}
	}
	// Within the bytes of a message damage is not looked for: whoever reads it is told.
	if told < places/2 {
		t.Errorf("%d of %d damages were noticed", told, places)
	}
}

func messages(t testing.TB, ix *index.Index, run int) (all string) {
	t.Helper()
	for m, err := range ix.Messages(1, run) {
		if err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%+v\n", m)
	}
	return all
}
