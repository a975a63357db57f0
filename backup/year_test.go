package backup

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// TestYear lives through a year: each day changes drawn at random and a run, then retention and compaction as backupd serve has them. Every date that should be
// there is there, and shows what the server had; every other is gone once it pays; and the archive's size follows what is live.
func TestYear(t *testing.T) {
	testenv.SetMemory(t)
	keep := Keep{Last: 1, Daily: 14, Weekly: 8, Monthly: 12}
	m := newModel(t, filepath.Join(indextest.Store(t), "year"))
	const live = 0.8
	seed, compactions, most := 20091, 0, 0
	t.Logf("seed %d", seed)
	for i := range 365 {
		rapid.Custom(func(t *rapid.T) int { day(t, m.server); return 0 }).Example(seed + i)
		for _, b := range m.server.boxes { // what users do: the newest stays, and what is old is deleted and expunged
			if b.nextUID > 40 {
				b.msgs = b.msgs[len(b.msgs)*3/4:]
				m.server.changed(b)
			}
		}
		m.run(t)
		m.server.calm()
		res := m.compact(t, keep, live)
		most = max(most, len(m.dates))
		if res.Path == "" && (res.Pays || res.Live < live) {
			t.Fatalf("day %d: it pays, and nothing was done: %+v", i, res)
		}
		if res.Path == "" {
			continue
		}
		compactions++
		// 14 days; the weeks and months of which those are not the newest run.
		if len(m.dates) > 14+7+11 {
			t.Errorf("day %d: %d dates", i, len(m.dates))
		}
		if err := m.compare(m.user(t).Index()); err != nil {
			t.Fatal(i, err)
		}
		path := mustArchive(t, m)
		if info, err := os.Stat(path); err != nil || info.Size() != res.After {
			t.Fatal(info, err)
		}
		m.nothingDead(t)
		if compactions%10 == 0 {
			m.check(t)
			if err := index.Check(context.Background(), path, m.user(t).Index()); err != nil {
				t.Fatal(err)
			}
		}
	}
	m.compact(t, keep, always)
	m.check(t)
	if n, first := len(m.dates), m.dates[0].run.Begun; n < 14+4+9 || n > 14+7+11 || time.Date(2009, 9, 27+364, 12, 0, 0, 0, time.UTC).Sub(first) < 300*24*time.Hour {
		t.Errorf("%d dates, from %s on", n, first)
	}
	if compactions < 5 {
		t.Errorf("only %d compactions", compactions)
	}
	t.Logf("%d compactions, at most %d dates, at the end %d", compactions, most, len(m.dates))
}

// nothingDead checks that the archive holds each message that a date shows, once, and nothing that none does.
func (m *model) nothingDead(t *testing.T) {
	t.Helper()
	bodies, size := map[string]bool{}, int64(0)
	for _, d := range m.dates {
		for _, v := range d.folders {
			for _, msg := range v.msgs {
				if body := msg.bytes(); body != nil && !msg.rec.Unlinked() && !bodies[string(body)] {
					bodies[string(body)] = true
					size += int64(len(body))
				}
			}
		}
	}
	ix, err := index.OpenRead(m.user(t).Index())
	must(t, err)
	defer ix.Close()
	var runs []int
	for _, d := range m.dates {
		runs = append(runs, d.run.Run)
	}
	dead, err := ix.Dead(runs)
	must(t, err)
	all, err := ix.Dead(nil)
	must(t, err)
	if dead != (index.Bytes{}) || all.Messages != len(bodies) || all.Size != size {
		t.Fatalf("dead is %+v; there are %+v, and should be %d messages, %d bytes", dead, all, len(bodies), size)
	}
}
