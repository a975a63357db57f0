package archive

import (
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backupfs/internal/testenv"
)

// What Cyrus's own tools wrote in three runs is read as three runs, at the times when they were made.
func TestPerlArchives(t *testing.T) {
	for _, c := range []struct {
		path  string
		user  string
		timed bool // truth says when the runs were
	}{
		{"cyrus313/archives/gz/data/brong/backupdata-1795508101.tar.gz", "brong", true},
		{"cyrus313/archives/tar/data/brong/backupdata-1795508102.tar", "brong", true},
		{"cyrus313/archives/default-gz/data/cassandane/backupdata-1795508103.tar.gz", "cassandane", false},
	} {
		t.Run(c.path, func(t *testing.T) {
			a := mustOpen(t, filepath.Join(testenv.Fixtures(t), c.path))
			end, err := a.Complete(Position{})
			if err != nil {
				t.Fatal(err)
			}
			if size, _ := a.Size(); end.File != size {
				t.Errorf("complete up to %d of %d", end.File, size)
			}
			s := a.Scan(Position{}, end, ScanOptions{Digest: true, FirstRun: 1})
			var runs []Run
			messages := 0
			for {
				e, err := s.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				switch e.Kind {
				case EventRun:
					runs = append(runs, e.Run)
				case EventEntry:
					h := sha1.New()
					if _, err := io.Copy(h, e.Body); err != nil {
						t.Fatal(err)
					}
					sum := fmt.Sprintf("%x", h.Sum(nil))
					if e.Entry.Type == TypeFile && sum != e.Entry.Linkname {
						t.Errorf("%s has SHA-1 %s, and says %s", e.Entry.Name, sum, e.Entry.Linkname)
					}
					if name, ok := strings.CutPrefix(e.Entry.Name, "files/"); ok {
						messages++
						if name != sum {
							t.Errorf("%s has SHA-1 %s", name, sum)
						}
					}
				}
			}
			if len(runs) != 3 || messages < 30 {
				t.Fatalf("%d runs, %d messages", len(runs), messages)
			}
			if runs[2].End != end {
				t.Errorf("the last run ends at %v, the archive at %v", runs[2].End, end)
			}
			for i, r := range runs {
				if r.Run != i+1 || !r.Inferred || i > 0 && r.Start != runs[i-1].End.Tar {
					t.Errorf("run %d: %+v", i+1, r)
				}
				if c.timed {
					from, to := runTimes(t, i+1)
					if r.Begun.Before(from.Add(-2*time.Second)) || r.Begun.After(to) {
						t.Errorf("run %d begun at %v, and was made between %v and %v", i+1, r.Begun, from, to)
					}
				}
			}
		})
	}
}

// runTimes is when a run of the fixtures began and ended.
func runTimes(t *testing.T, n int) (from, to time.Time) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Fixtures(t), fmt.Sprintf("cyrus313/truth/run%d.time", n)))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		var at int64
		if _, err := fmt.Sscanf(line, "backup_start %d", &at); err == nil {
			from = time.Unix(at, 0)
		}
		if _, err := fmt.Sscanf(line, "backup_end %d", &at); err == nil {
			to = time.Unix(at, 0)
		}
	}
	return from, to
}
