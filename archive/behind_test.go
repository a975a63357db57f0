package archive

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
)

// Whole runs of another tool behind damage are not moved aside with it: nothing says where in the tar they stand, but they are mail.
func TestForeignRunsBehindDamage(t *testing.T) {
	withoutSyncs(t)
	index := func(day int64) modelEntry { return meta("folders/a/cyrus.index", 3000, day) }
	members := [][]byte{
		gzipOf(t, tarOf([]modelEntry{file(5000, 1), index(1)})),
		gzipOf(t, tarOf([]modelEntry{link("INBOX", "a", 9), file(7000, 2), index(2)})),
		gzipOf(t, tarOf([]modelEntry{file(300, 3), index(3)})),
	}
	whole := bytes.Join(members, nil)
	rear := len(whole) - len(members[2])
	for _, ours := range [][]byte{nil, []byte(mustReadFile(t, ours(t, []modelEntry{file(700, 1)})))} {
		for at := 0; at < len(whole); at += 5 {
			path := filepath.Join(t.TempDir(), "backupdata-1254182100.tar.gz")
			b := append(bytes.Clone(ours), whole...)
			b[len(ours)+at] ^= 0x10
			mustWriteFile(t, path, b)
			a, rec, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 1})
			if err == nil {
				mustClose(t, a)
			}
			copies, _ := filepath.Glob(path + ".torn-*")
			switch {
			case errors.Is(err, ErrDamaged):
				if at >= rear || len(copies) > 0 || mustReadFile(t, path) != string(b) {
					t.Fatalf("flipped at %d, rear at %d: %v, copies %v", at, rear, err, copies)
				}
			case err != nil:
				t.Fatal(err)
			case at < rear && rec.Torn != "":
				t.Fatalf("flipped at %d: %d bytes were cut off", at, rec.TornBytes)
			}
		}
	}
}

// What a crash leaves of a message with an archive in it is torn all the same.
func TestArchiveInTornMessage(t *testing.T) {
	withoutSyncs(t)
	path := ours(t, []modelEntry{file(700, 1)})
	end, err := completeEnd(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, inner := range [][]byte{
		gzipOf(t, []byte("dear all")),
		gzipOf(t, tarOf([]modelEntry{{Entry{Name: "holiday.jpg", Type: TypeFile, Size: 3}, []byte("jpg")}})),
		gzipOf(t, tarOf([]modelEntry{file(9000, 1)}))[:500],
		[]byte(mustReadFile(t, ours(t, []modelEntry{file(800, 2)}))),
	} {
		mustAppendBytes(t, path, append([]byte("torn "), inner...))
		a, rec, err := OpenAppend(path, Hint{Position: end}, AppendOptions{Workers: 1})
		if err != nil || rec.TornBytes != int64(5+len(inner)) || rec.Lost {
			t.Fatal(rec, err)
		}
		mustClose(t, a)
	}
}

// A run that a cache knows is never cut off: its end is damaged then, or another file took the place of the archive.
func TestHintBeyond(t *testing.T) {
	path := ours(t, []modelEntry{file(700, 1)}, []modelEntry{file(900, 2)})
	whole := mustReadFile(t, path)
	var ends []Position
	var id uint32
	for m, err := range mustOpen(t, path).Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if id = m.ID; m.Marker {
			ends = append(ends, m.End())
		}
	}
	damaged := []byte(whole)
	damaged[len(damaged)-20] ^= 1
	older := whole[:ends[0].File]
	for _, c := range []struct {
		what   string
		bytes  string
		id     uint32
		behind bool
		lost   bool
		torn   int64
	}{
		{"whole", whole, id, false, false, 0},
		{"marker damaged", string(damaged), id, true, false, 0},
		{"marker damaged, id unknown", string(damaged), 0, true, false, 0},
		{"marker damaged, hint of another archive", string(damaged), id + 1, false, false, int64(len(whole)) - ends[0].File},
		{"older copy", older, id, false, true, 0},
		{"older copy, hint of another archive", older, id + 1, false, false, 0},
		{"older copy, torn", older + "torn", id, true, false, 0},
		{"empty", "", id, false, true, 0},
		{"rubbish", "rubbish", id, true, false, 0},
	} {
		mustWriteFile(t, path, []byte(c.bytes))
		a, rec, err := OpenAppend(path, Hint{ends[1], c.id}, AppendOptions{Workers: 1})
		if errors.Is(err, ErrBehind) != c.behind || (err != nil) != c.behind || rec.Lost != c.lost || rec.TornBytes != c.torn {
			t.Errorf("%s: %+v, %v", c.what, rec, err)
		}
		if err != nil {
			if mustReadFile(t, path) != c.bytes {
				t.Errorf("%s: something was cut off", c.what)
			}
			continue
		}
		mustClose(t, a)
	}
	if copies, _ := filepath.Glob(path + ".torn-*"); len(copies) != 1 {
		t.Errorf("copies: %v", copies)
	}
}

// A member of another archive that strayed into the place of one of ours is not read as ours.
func TestMemberOfAnother(t *testing.T) {
	path := ours(t, []modelEntry{file(700, 1)}, []modelEntry{file(900, 2)})
	b := []byte(mustReadFile(t, path))
	var members []Member
	for m, err := range mustOpen(t, path).Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	strange := members[2]
	strange.ID++
	copy(b[strange.File:], appendMemberHeader(nil, strange))
	mustWriteFile(t, path, b)
	a := mustOpen(t, path) // nothing was read of it before
	if _, err := a.Inflate(members[2], nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("Inflate: %v", err)
	}
	if _, err := a.Inflate(members[3], nil); err != nil {
		t.Errorf("the next: %v", err)
	}
}
