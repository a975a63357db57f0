package index_test

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"backupfs/index"
)

// compareLives: as of any run, names and lives say of each run before it what Folders and Messages say of that, and they begin and end with
// runs that there are.
func compareLives(t testing.TB, ix *index.Index) {
	t.Helper()
	all, err := ix.Runs()
	if err != nil {
		t.Fatal(err)
	}
	var runs []int
	for _, r := range all {
		runs = append(runs, r.Run.Run)
		newest := r.Run.Run
		names, err := ix.Names(newest)
		if err != nil {
			t.Fatal(err)
		}
		folders := map[int64]bool{}
		for _, n := range names {
			folders[n.Folder] = true
			if !slices.Contains(runs, n.First) || !slices.Contains(runs, n.Last) {
				t.Errorf("of the runs %d: %+v", runs, n)
			}
		}
		for _, run := range runs {
			var got []index.Folder
			for _, n := range names {
				if n.First <= run && run <= n.Last {
					got = append(got, index.Folder{ID: n.Folder, Archived: n.Archived})
				}
			}
			want, err := ix.Folders(run)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(got, byArchived)
			slices.SortFunc(want, byArchived)
			if !slices.EqualFunc(got, want, func(a, b index.Folder) bool { return a.ID == b.ID && a.Archived == b.Archived }) {
				t.Errorf("as of run %d, run %d has folders %+v, not %+v", newest, run, got, want)
			}
		}
		for folder := range folders {
			compareFolderLives(t, ix, folder, runs)
		}
	}
}

func byArchived(a, b index.Folder) int { return cmp.Compare(a.Archived, b.Archived) }

func compareFolderLives(t testing.TB, ix *index.Index, folder int64, runs []int) {
	t.Helper()
	newest := runs[len(runs)-1]
	var lives, ended []index.Life
	for l, err := range ix.Lives(folder, newest, 0, math.MaxUint32, math.MaxInt) {
		if err != nil {
			t.Fatal(err)
		}
		lives = append(lives, l)
		if l.Last < newest {
			ended = append(ended, l)
		}
		if !slices.Contains(runs, l.First) || !slices.Contains(runs, l.Last) {
			t.Errorf("of the runs %d: %+v", runs, l)
		}
		if l.UID > 1 { // others of the folder are left out
			for one, err := range ix.Lives(folder, newest, l.UID, l.UID, math.MaxInt) {
				if err != nil || one.UID != l.UID {
					t.Errorf("asked for UID %d: %+v, %v", l.UID, one, err)
				}
			}
		}
	}
	if !slices.IsSortedFunc(lives, func(a, b index.Life) int { return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.First, b.First)) }) {
		t.Errorf("not in order: %+v", lives)
	}
	var got []index.Life
	for l, err := range ix.Lives(folder, newest, 0, math.MaxUint32, newest) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if !slices.Equal(got, ended) {
		t.Errorf("ended before run %d: %+v, not %+v", newest, got, ended)
	}
	for _, run := range runs {
		var got, want []index.Message
		for _, l := range lives {
			if l.First <= run && run <= l.Last {
				got = append(got, l.Message)
			}
		}
		for m, err := range ix.Messages(folder, run) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, m)
		}
		if !slices.Equal(got, want) {
			t.Errorf("as of run %d, run %d has %+v, not %+v", newest, run, got, want)
		}
	}
}
