package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/archive"
)

// TestLastRunLost: where the index knows runs that the archive no longer shows, verify names the damage, and a run refuses and changes
// nothing: neither the archive, nor the index, nor what lies beside them. Without the index the next run goes on, and loses no byte.
func TestLastRunLost(t *testing.T) {
	for _, runs := range []int{1, 3} {
		m := newModel(t, filepath.Join(t.TempDir(), "store"))
		var before int64
		for i := range runs {
			if i == runs-1 && i > 0 {
				before = int64(len(mustRead(t, mustArchive(t, m))))
			}
			m.server.addGood(m.server.boxes[0])
			m.run(t)
		}
		u, path := m.user(t), mustArchive(t, m)
		whole, known := mustRead(t, path), mustRead(t, u.Index())
		members := mustMembers(t, path)
		marker, end := members[len(members)-1].File, int64(len(whole))
		zeroed := func(from int64) []byte {
			b := bytes.Clone(whole)
			clear(b[from:])
			return b
		}
		flipped := bytes.Clone(whole)
		flipped[end-30] ^= 0x55
		for _, c := range []struct {
			what  string
			bytes []byte
			torn  bool // something stands behind the last run that is left
		}{
			{"marker damaged", flipped, true},
			{"marker zeroed", zeroed(marker), true},
			{"run zeroed", zeroed(before), true},
			{"cut within the marker", whole[:end-100], true},
			{"cut before the marker", whole[:marker], true},
			{"run cut off", whole[:before], false},
			{"empty", nil, false},
		} {
			mustPut(t, path, c.bytes)
			mustPut(t, u.Index(), known)
			report, err := Verify(context.Background(), u, nil)
			if err != nil || !errors.Is(report.Err(), archive.ErrDamaged) || len(report.Archive) == 0 || report.Unfinished > 0 ||
				!strings.Contains(report.Archive[0].Error(), path) {
				t.Errorf("%d runs, %s: verify: %+v, %v", runs, c.what, report, err)
			}
			if _, err := m.try(context.Background()); !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("%d runs, %s: backup: %v", runs, c.what, err)
			}
			if !bytes.Equal(mustRead(t, path), c.bytes) || !bytes.Equal(mustRead(t, u.Index()), known) {
				t.Errorf("%d runs, %s: archive or index is another", runs, c.what)
			}
			if beside := torn(t, path); len(beside) > 0 {
				t.Errorf("%d runs, %s: moved aside: %q", runs, c.what, beside)
			}

			if err := os.Remove(u.Index()); err != nil {
				t.Fatal(err)
			}
			res, err := m.try(context.Background())
			if err != nil || (res.Recovered.Torn != "") != c.torn {
				t.Fatalf("%d runs, %s: without an index: %+v, %v", runs, c.what, res, err)
			}
			beside := torn(t, path)
			left := mustRead(t, path)[:len(c.bytes)-int(res.Recovered.TornBytes)]
			for _, name := range beside {
				left = append(bytes.Clone(left), mustRead(t, name)...)
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(left, c.bytes) {
				t.Errorf("%d runs, %s: bytes of the damaged archive are gone", runs, c.what)
			}
			if report := mustVerify(t, u); report.Err() != nil {
				t.Errorf("%d runs, %s: afterwards: %v", runs, c.what, report.Err())
			}
		}
	}
}

func torn(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + ".torn-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustPut(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
