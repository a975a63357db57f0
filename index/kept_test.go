package index_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestKept: an index that knows runs of its archive which cannot be found in it any more is not replaced; one of another archive is, and
// so is one that knows nothing.
func TestKept(t *testing.T) {
	for _, n := range []int{1, 3} {
		dir := t.TempDir()
		path := indextest.Archive(t, dir, days(n, "one")...)
		ixPath := filepath.Join(dir, "index.sqlite3")
		whole, known := mustReadFile(t, path), mustReadFile(t, ixPath)
		last := lastMember(t, path) // the marker of the last run
		var before int64            // the end of the run before
		for m, err := range mustOpen(t, path).Members(archive.Position{}) {
			if err != nil {
				t.Fatal(err)
			}
			if m.Marker && m != last {
				before = m.End().File
			}
		}
		spoilt := func(from, to int64, with func(b byte) byte) []byte {
			b := bytes.Clone(whole)
			for i := from; i < to; i++ {
				b[i] = with(b[i])
			}
			return b
		}
		flip := func(b byte) byte { return b ^ 0x55 }
		zero := func(byte) byte { return 0 }
		end := int64(len(whole))
		another := mustReadFile(t, indextest.Archive(t, t.TempDir(), days(1, "two")...))
		for _, c := range []struct {
			what  string
			bytes []byte
			index []byte
			kept  bool
		}{
			{"nothing", whole, known, false},
			{"marker's content flipped", spoilt(end-30, end-29, flip), known, true},
			{"marker's header flipped", spoilt(last.File+25, last.File+26, flip), known, true},
			{"marker zeroed", spoilt(last.File, end, zero), known, true},
			{"last run zeroed", spoilt(before, end, zero), known, true},
			{"all zeroed", spoilt(0, end, zero), known, true},
			{"cut within the marker", whole[:end-100], known, true},
			{"cut before the marker", whole[:last.File], known, true},
			{"an older copy", whole[:before], known, true},
			{"empty", nil, known, true},
			{"marker flipped, no index", spoilt(end-30, end-29, flip), []byte("rubbish"), false},
			{"another archive", another, known, false},
			{"another archive, cut", another[:len(another)-100], known, false},
		} {
			mustWrite(t, path, c.bytes)
			mustWrite(t, ixPath, c.index)
			err := index.Rebuild(context.Background(), path, ixPath, nil)
			if c.kept != errors.Is(err, index.ErrKept) || c.kept != errors.Is(err, archive.ErrDamaged) || !c.kept && err != nil {
				t.Errorf("%d runs, %s: %v", n, c.what, err)
			}
			if c.kept && !bytes.Equal(mustReadFile(t, ixPath), known) {
				t.Errorf("%d runs, %s: the index is another", n, c.what)
			}
			if !c.kept {
				mustCheck(t, path, ixPath)
			}
			if left, _ := filepath.Glob(ixPath + "?*"); len(left) > 0 {
				t.Errorf("%d runs, %s: left behind: %q", n, c.what, left)
			}
		}
	}
}
