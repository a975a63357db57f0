package index_test

import (
	"path/filepath"
	"slices"
	"testing"

	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestEachMessage: a folder of more messages than are fetched at a time, and of as many as that, has each of them once.
func TestEachMessage(t *testing.T) {
	for _, n := range []int{999, 1000, 1001, 2000} {
		dir := t.TempDir()
		runs := many(10 * n)
		for i := range runs {
			runs[i].Folders = runs[i].Folders[:1]
		}
		indextest.Archive(t, dir, runs...)
		ix := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
		var all []index.Message
		for m, err := range ix.Messages(1, 2) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		if len(all) != n {
			t.Errorf("%d messages, not %d", len(all), n)
		}
		mustBeEach(t, ix, 1, 2, all)
	}
}

// mustBeEach compares EachMessage with what Messages yields.
func mustBeEach(t testing.TB, ix *index.Index, folder int64, run int, all []index.Message) {
	t.Helper()
	var got []index.Message
	err := ix.EachMessage(folder, run, func(m index.Message) error {
		got = append(got, m)
		return nil
	})
	want := slices.Clone(all)
	for i := range want {
		want[i].GUID, want[i].File = cyrus.GUID{}, 0
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("folder %d in run %d has %+v, %v, not %+v", folder, run, got, err, want)
	}
}
