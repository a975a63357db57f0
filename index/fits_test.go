package index_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"backupfs/archive"
	"backupfs/index/indextest"
)

// TestFits: an index fits its archive, grown or damaged at its end, and no other of the same name: another user's, an older copy, one
// that went another way since.
func TestFits(t *testing.T) {
	dir := indextest.Store(t)
	path := indextest.Archive(t, dir, days(3, "one")...)
	whole := mustReadFile(t, path)
	ix := mustOpenRead(t, filepath.Join(dir, "index.sqlite3"))
	known, err := ix.Runs()
	if err != nil {
		t.Fatal(err)
	}
	grown := func(b []byte, bodies ...indextest.Run) []byte {
		t.Helper()
		to := filepath.Join(t.TempDir(), filepath.Base(path))
		mustWrite(t, to, b)
		w := indextest.NewWriter(t, filepath.Dir(to))
		for _, r := range bodies {
			w.Run(r)
		}
		w.Close()
		return mustReadFile(t, to)
	}
	spoilt := func(from, to int) []byte {
		b := bytes.Clone(whole)
		for i := from; i < to; i++ {
			b[i] ^= 0x55
		}
		return b
	}
	older := whole[:known[1].End.File]
	for _, c := range []struct {
		what  string
		bytes []byte
		want  bool
	}{
		{"its own", whole, true},
		{"grown", grown(whole, days(4, "one")[3]), true},
		{"torn bytes behind", append(bytes.Clone(whole), "torn"...), true},
		{"last marker's content damaged", spoilt(len(whole)-20, len(whole)-19), true},
		{"last marker's header damaged", spoilt(int(known[2].End.File)-300, len(whole)), true},
		{"last run damaged", spoilt(len(older), len(whole)), true},
		{"older copy", older, false},
		{"older copy that grew", grown(older, days(1, "something else")[0], days(2, "one")[1]), false},
		{"all damaged", spoilt(0, len(whole)), false},
		{"another", mustReadFile(t, indextest.Archive(t, indextest.Store(t), days(4, "two")...)), false},
		{"another of the same mail", mustReadFile(t, indextest.Archive(t, indextest.Store(t), days(3, "one")...)), false},
		{"empty", nil, false},
	} {
		r := bytes.NewReader(c.bytes)
		a := archive.NewArchive(r, func() (int64, error) { return r.Size(), nil }, path)
		if got, err := ix.Fits(a); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.what, got, err)
		}
		a = archive.NewArchive(r, func() (int64, error) { return r.Size(), nil }, filepath.Join(dir, "backupdata-1.tar.gz"))
		if got, err := ix.Fits(a); got || err != nil {
			t.Errorf("%s, by another name: %v, %v", c.what, got, err)
		}
	}
}
