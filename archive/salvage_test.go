package archive

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha1"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// indexed is an archive, and what an index knows of it from before it was damaged.
type indexed struct {
	whole   []byte
	members []Member
	entries []modelEntry
	sums    [][sha1.Size]byte // of the entries
	asked   int               // how often for the contents of a member
}

func mustIndex(t *testing.T, path string) *indexed {
	t.Helper()
	x := &indexed{whole: []byte(mustReadFile(t, path))}
	runs, members, _, err := scanned(mustOpen(t, path), ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x.members = members
	for _, run := range runs {
		x.entries = append(x.entries, run.entries...)
	}
	for _, e := range x.entries {
		x.sums = append(x.sums, sha1.Sum(e.content))
	}
	return x
}

func (x *indexed) known() Known {
	return Known{
		Member: func(tar int64) (Member, error) { return holder(x.members, tar), nil },
		Contents: func(from, to int64) (contents []Content, err error) {
			x.asked++
			for i, e := range x.entries {
				if e.Data < to && e.Data+e.Size > from {
					contents = append(contents, Content{e.Data, e.Size, x.sums[i]})
				}
			}
			return contents, nil
		},
	}
}

// comesOut is what the standard library makes of each member in damaged bytes.
func (x *indexed) comesOut(spoilt []byte) (tars [][]byte) {
	for _, m := range x.members {
		header := int64(MemberHeaderSize)
		if m.Foreign {
			header = 10
		}
		from, to := min(m.File+header, int64(len(spoilt))), min(m.End().File, int64(len(spoilt)))
		tar := make([]byte, m.TarSize)
		n, _ := io.ReadFull(flate.NewReader(bytes.NewReader(spoilt[from:max(from, to)])), tar)
		tars = append(tars, tar[:n])
	}
	return tars
}

// right says whether all of an entry's content comes out of the members that it lies in.
func (x *indexed) right(e modelEntry, tars [][]byte) bool {
	for i, m := range x.members {
		from, to := max(e.Data, m.Tar), min(e.Data+e.Size, m.End().Tar)
		if from < to && (to-m.Tar > int64(len(tars[i])) || !bytes.Equal(tars[i][from-m.Tar:to-m.Tar], e.content[from-e.Data:to-e.Data])) {
			return false
		}
	}
	return true
}

// check reads all that was there from damaged bytes: all of it that still comes out right, or nothing if most is less than a member, and no other.
func (x *indexed) check(t *testing.T, what string, spoilt []byte, cache, most int64) (saved, lost int) {
	t.Helper()
	a := NewArchive(bytes.NewReader(spoilt), func() (int64, error) { return int64(len(spoilt)), nil }, "broken")
	c, tars := NewCache(cache), x.comesOut(spoilt)
	for _, e := range x.entries {
		p := make([]byte, e.Size)
		_, err := c.ReadAt(context.Background(), a, x.known(), p, e.Data)
		right := x.right(e, tars) && holder(x.members, e.Data).TarSize <= most || e.Size == 0
		switch {
		case err == nil && !bytes.Equal(p, e.content):
			t.Fatalf("%s: %s has other bytes", what, e.Name)
		case err != nil && !errors.Is(err, ErrDamaged):
			t.Fatalf("%s: %s: %v", what, e.Name, err)
		case (err == nil) != right:
			t.Fatalf("%s: %s at %d comes out right: %t, and is read: %v", what, e.Name, e.Data, right, err)
		}
		if err != nil {
			lost++
		} else if _, err := a.Inflate(holder(x.members, e.Data), nil); err != nil && e.Size > 0 {
			saved++
		}
	}
	if c.held > c.bound || c.large.Len() > 1 {
		t.Errorf("%s: %d bytes are held, and %d large pieces", what, c.held, c.large.Len())
	}
	return saved, lost
}

// TestSalvage: whatever happens to an archive, each content is read that still comes out of its members and has its digest; no other byte is.
func TestSalvage(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	entries := files(rng, 120, 15)
	x := mustIndex(t, ours(t, entries[:60], entries[60:]))
	saved, lost := 0, 0
	for range 100 {
		d := spoil(rng, x.whole, x.members)
		s, l := x.check(t, d.what, d.bytes, 1<<20, MaxInflate)
		saved, lost = saved+s, lost+l
	}
	for _, m := range x.members { // each with nothing wrong but its CRC: all of it is as it was
		spoilt := bytes.Clone(x.whole)
		spoilt[m.End().File-8] ^= 1
		s, l := x.check(t, "CRC", spoilt, 1<<20, MaxInflate)
		if saved += s; l > 0 {
			t.Errorf("%d contents are lost with a CRC", l)
		}
	}
	if saved < 300 || lost < 300 {
		t.Errorf("%d contents were saved, %d are lost: one of both was hardly tried", saved, lost)
	}
}

// TestSalvageOnce: who reads all contents of a damaged member, more than once, has it salvaged once.
func TestSalvageOnce(t *testing.T) {
	var entries []modelEntry
	for i := range 60 {
		entries = append(entries, file(1000, uint64(i)))
	}
	x := mustIndex(t, ours(t, entries))
	spoilt := bytes.Clone(x.whole)
	spoilt[x.members[0].FileSize/2] ^= 0x55
	a := NewArchive(bytes.NewReader(spoilt), func() (int64, error) { return int64(len(spoilt)), nil }, "broken")
	c, read := NewCache(1<<20), 0
	for range 3 {
		for _, e := range x.entries {
			if _, err := c.ReadAt(context.Background(), a, x.known(), make([]byte, e.Size), e.Data); err == nil {
				read++
			}
		}
	}
	if x.asked != 1 || read < 3*10 || read == 3*60 {
		t.Errorf("salvaged %d times; %d of 180 times a content was read", x.asked, read)
	}
}

// TestSalvageForeign: the same of members of another tool, of which one that is too large for the cache is read in pieces, while its CRC stands behind all of
// them; and of one that is too large for anything, nothing is read any more.
func TestSalvageForeign(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, size := range []int{100 << 10, 3 << 20, 17 << 20} {
		var entries []modelEntry
		for left := size; left > 0; {
			e := file(rng.IntN(size/10), rng.Uint64())
			entries, left = append(entries, e), left-int(e.Size)
		}
		path := filepath.Join(t.TempDir(), "backupdata-1254182100.tar.gz")
		mustWriteFile(t, path, gzipOf(t, tarOf(entries)))
		x := mustIndex(t, path)
		if _, lost := x.check(t, "whole", x.whole, 1<<20, 1<<40); lost > 0 {
			t.Errorf("%d bytes: %d contents of a whole member cannot be read", size, lost)
		}
		saved, lost := 0, 0
		for range 6 {
			at := 10 + rng.IntN(len(x.whole)-10)
			spoilt := bytes.Clone(x.whole)
			spoilt[at] ^= 1 << rng.IntN(8)
			s, l := x.check(t, "flipped", spoilt, 1<<20, MaxInflate)
			saved, lost = saved+s, lost+l
		}
		if lost == 0 || (saved == 0) != (size > MaxInflate) {
			t.Errorf("%d bytes: %d contents were saved, %d are lost", size, saved, lost)
		}
	}
}
