package backup

import (
	"crypto/sha1"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/cyrus"
)

var update = flag.Bool("update", false, "write the frozen archive anew")

// frozenCompacted is an archive that was compacted once and for all, with a run behind: every later version must read it, and compact it. Beside it
// is a list of what its runs show.
const frozenCompacted = "testdata/frozen/compacted-1-backupdata-1795790000.tar.gz"

func TestFrozenCompacted(t *testing.T) {
	list := strings.TrimSuffix(frozenCompacted, ".tar.gz") + ".txt"
	if *update {
		mustPut(t, frozenCompacted, writeCompacted(t))
	}
	u := mustStore(t, "brong", "backupdata-1795790000.tar.gz", mustRead(t, frozenCompacted))
	var lines strings.Builder
	all := byRun(t, u)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		if c.Tar < 0 {
			fmt.Fprintf(&lines, "%s: missing\n", name)
			continue
		}
		if c.Err != nil {
			t.Error(name, c.Err)
		}
		fmt.Fprintf(&lines, "%s: %d bytes, %x\n", name, len(c.Bytes), sha1.Sum(c.Bytes))
	}
	if *update {
		must(t, os.WriteFile(list, []byte(lines.String()), 0o644))
	}
	if got := string(mustRead(t, list)); got != lines.String() {
		t.Errorf("it shows\n%s\nand should show\n%s", lines.String(), got)
	}
	if report := mustVerify(t, u); report.Err() != nil || report.Index != nil || report.Runs != 4 {
		t.Errorf("%v: %+v", report.Err(), report)
	}
	mustCompact(t, u, 2)
}

// writeCompacted makes such an archive.
func writeCompacted(t *testing.T) []byte {
	t.Helper()
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	s := m.server
	for i := range 7 {
		for range 3 {
			s.addGood(s.boxes[0])
		}
		s.add(s.boxes[1], s.newBody(), s.newBody())
		s.add(s.boxes[1], nil, s.newBody())
		s.boxes[0].msgs[i].rec.SystemFlags |= cyrus.FlagExpunged
		s.boxes[0].msgs = s.boxes[0].msgs[1:]
		s.files["seen"] = fmt.Appendf(nil, "seen %d", i)
		switch i {
		case 1:
			s.boxes[2].name = "INBOX.Renamed"
		case 2:
			s.create("INBOX.New", 20)
			s.boxes[1].annotations = []byte("annotations")
		case 5:
			s.boxes[1].annotations = nil
			s.boxes = s.boxes[:3]
		case 6:
			m.compact(t, Keep{Last: 3}, always)
		}
		m.run(t)
	}
	return mustRead(t, mustArchive(t, m))
}
