package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// damagedArchive is an archive, and what must still be read of it.
type damagedArchive struct {
	what    string
	bytes   []byte
	touched []Member
}

// spoil does one kind of damage somewhere.
func spoil(rng *rand.Rand, whole []byte, members []Member) damagedArchive {
	at := rng.IntN(len(whole))
	n := min(1+rng.IntN(1<<(1+rng.IntN(16))), len(whole)-at)
	var d damagedArchive
	touches := func(from, to int64) {
		for _, m := range members {
			if from < m.End().File && to > m.File {
				d.touched = append(d.touched, m)
			}
		}
	}
	d.bytes = bytes.Clone(whole)
	switch rng.IntN(6) {
	case 0:
		d.what = fmt.Sprintf("bit flipped at %d", at)
		d.bytes[at] ^= 1 << rng.IntN(8)
		touches(int64(at), int64(at)+1)
	case 1:
		d.what = fmt.Sprintf("%d zeros at %d", n, at)
		clear(d.bytes[at : at+n])
		touches(int64(at), int64(at+n))
	case 2:
		d.what = fmt.Sprintf("%d bytes cut out at %d", n, at)
		d.bytes = slices.Delete(d.bytes, at, at+n)
		touches(int64(at), int64(at+n))
	case 3:
		from := rng.IntN(len(whole) - n + 1)
		d.what = fmt.Sprintf("%d bytes from %d doubled at %d", n, from, at)
		d.bytes = slices.Insert(d.bytes, at, whole[from:from+n]...)
		touches(int64(at), int64(at))
	case 4:
		m, before := members[rng.IntN(len(members))], members[rng.IntN(len(members))]
		d.what = fmt.Sprintf("member at %d doubled at %d", m.File, before.File)
		d.bytes = slices.Insert(d.bytes, int(before.File), whole[m.File:m.End().File]...)
	case 5:
		m := members[rng.IntN(len(members))]
		d.what = fmt.Sprintf("member at %d cut out", m.File)
		d.bytes = slices.Delete(d.bytes, int(m.File), int(m.End().File))
		touches(m.File, m.End().File)
	}
	return d
}

// Whatever happens to an archive of ours, a reader that resynchronises tells of it, delivers each entry that lies wholly in
// members which nothing happened to, and no entry that was not there. One that does not resynchronise fails.
func TestDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var runs [][]modelEntry
	var all []modelEntry
	for range 3 {
		runs = append(runs, files(rng, 40, 8))
	}
	path := ours(t, runs...)
	whole := []byte(mustReadFile(t, path))
	a := mustOpen(t, path)
	model, members, _, err := scanned(a, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range model {
		all = append(all, run.entries...)
	}
	last := members[len(members)-1]

	for i := range 300 {
		d := spoil(rng, whole, members)
		t.Run(d.what, func(t *testing.T) {
			broken := NewArchive(bytes.NewReader(d.bytes), func() (int64, error) { return int64(len(d.bytes)), nil }, "broken")
			end := Position{File: int64(len(d.bytes)), Tar: last.End().Tar}
			got, damage, err := entriesOf(broken.Scan(Position{}, end, ScanOptions{Resync: true, Digest: i%2 == 0}), i%3 == 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range got {
				if !slices.ContainsFunc(all, func(f modelEntry) bool {
					return f.Entry == e.Entry && (e.content == nil || bytes.Equal(e.content, f.content))
				}) {
					t.Errorf("%+v was not there", e.Entry)
				}
			}
			lost := 0
			for _, e := range all {
				if slices.ContainsFunc(got, func(f modelEntry) bool { return f.Entry == e.Entry }) {
					continue
				}
				lost++
				hit := func(m Member) bool { return e.Offset < m.End().Tar && e.Data+padded(e.Size) > m.Tar }
				if !slices.ContainsFunc(d.touched, hit) {
					t.Errorf("%+v is lost, and nothing happened to its members", e.Entry)
				}
			}
			if lost > 0 && len(damage) == 0 {
				t.Errorf("%d entries are lost, and nothing is told", lost)
			}
			for _, dm := range damage {
				if !errors.Is(dm.Err, ErrDamaged) || !strings.HasPrefix(dm.Err.Error(), "broken: ") {
					t.Errorf("damage: %v", dm.Err)
				}
			}
			_, _, err = entriesOf(broken.Scan(Position{}, end, ScanOptions{Digest: true}), false)
			if err != nil && !errors.Is(err, ErrDamaged) || err == nil && len(damage) > 0 && i%2 == 0 {
				t.Errorf("without Resync: %v", err)
			}
			if i%8 == 0 {
				checkRecovered(t, d, last)
			}
		})
	}
}

// entriesOf reads a scanner to its end. Bodies are skipped (their content is nil) or read; an entry whose body is damaged is left out.
func entriesOf(s *Scanner, skip bool) (entries []modelEntry, damage []Damage, err error) {
	for {
		e, err := s.Next()
		if err == io.EOF {
			return entries, damage, nil
		}
		if err != nil {
			return entries, damage, err
		}
		switch e.Kind {
		case EventDamage:
			damage = append(damage, e.Damage)
		case EventEntry:
			var b []byte
			if !skip {
				if b, err = io.ReadAll(e.Body); errors.Is(err, ErrDamaged) {
					continue
				} else if err != nil {
					return entries, damage, err
				}
			}
			entries = append(entries, modelEntry{e.Entry, b})
		}
	}
}

// checkRecovered checks that damage in the middle cuts nothing off: if the last marker is whole, all up to it stays.
func checkRecovered(t *testing.T, d damagedArchive, last Member) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backupdata-1.tar.gz")
	mustWriteFile(t, path, d.bytes)
	a, rec, err := OpenAppend(path, Hint{}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if slices.Contains(d.touched, last) || strings.Contains(d.what, "doubled") {
		return
	}
	if r, ok := a.Last(); !ok || r.Run != 3 || rec.Torn != "" {
		t.Errorf("last run %+v, recovered %+v", r, rec)
	}
}

// Damage in an archive of another tool ends the reading there; runs before it are delivered, and ours behind it.
func TestForeignDamage(t *testing.T) {
	path := ours(t, []modelEntry{file(700, 1)})
	mustAppendForeign(t, path, tarOf([]modelEntry{file(10, 2), link("A", "a", day.Unix()+100)}))
	from, err := completeEnd(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAppendForeign(t, path, tarOf([]modelEntry{file(5000, 3), link("A", "a", day.Unix()+200)}))
	a, _, err := OpenAppend(path, Hint{}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustAddRun(t, a, modelRun{Marker{Begun: day.AddDate(0, 0, 5)}, []modelEntry{file(50, 5)}})
	mustClose(t, a)
	b := []byte(mustReadFile(t, path))
	b[from.File+100] ^= 1
	mustWriteFile(t, path, b)
	runs, _, damage, err := scanned(mustOpen(t, path), ScanOptions{Resync: true})
	if err != nil || len(runs) != 3 || len(damage) != 1 || damage[0].From != from {
		t.Fatalf("%d runs, damage %+v, %v", len(runs), damage, err)
	}
	if !equalButOffsets(runs[2].entries, []modelEntry{file(50, 5)}) {
		t.Errorf("behind the damage: %#v", runs[2].entries)
	}
	// Without anything of ours behind it, it cannot be told from a torn end.
	mustWriteFile(t, path, b[:from.File+200])
	if end, err := completeEnd(path); err != nil || end != from {
		t.Errorf("complete up to %v, %v, want %v", end, err, from)
	}
}
