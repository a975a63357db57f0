package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"backupfs/internal/deflate"
)

// FuzzScan reads any bytes in each way: nothing panics or goes on for ever, and what is delivered is within bounds.
func FuzzScan(f *testing.F) {
	b, err := os.ReadFile(frozen)
	if err != nil {
		f.Fatal(err)
	}
	tar := tarOf([]modelEntry{file(700, 1), link("INBOX", "a", 100), link(strings.Repeat("n", 300), strings.Repeat("m", 200), 9)})
	for _, seed := range [][]byte{b, b[:len(b)-1], b[200:], tar, tar[:len(tar)-1], gzipOf(f, tar), gzipOf(f, tar[:600]), append(gzipOf(f, tar), b...), append(bytes.Clone(b), gzipOf(f, tar)...), {}, make([]byte, 1024)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) { readAll(t, b) })
}

func readAll(t *testing.T, b []byte) {
	a := NewArchive(bytes.NewReader(b), func() (int64, error) { return int64(len(b)), nil }, "backupdata-1.tar.gz")
	var members []Member
	for m, err := range a.Members(Position{}) {
		if err == nil {
			members = append(members, m)
		}
	}
	if len(members) > len(b)+1 {
		t.Fatalf("%d members in %d bytes", len(members), len(b))
	}
	end, err := a.Complete(Position{})
	if err != nil {
		return
	}
	if end.File > int64(len(b)) {
		t.Fatalf("complete up to %d of %d", end.File, len(b))
	}
	if _, err := a.standing(Position{}, int64(len(b))); err != nil && end != (Position{}) {
		// What is complete can be read and appended to, unless damage was passed over.
		if _, _, damage, _ := scanned(a, ScanOptions{Resync: true}); len(damage) == 0 {
			t.Fatal(err)
		}
	}
	for _, to := range []Position{end, {File: int64(len(b)), Tar: math.MaxInt64}} {
		for _, opts := range []ScanOptions{{}, {Digest: true}, {Resync: true}, {Resync: true, Digest: true}} {
			s := a.Scan(Position{}, to, opts)
			for n := 0; ; n++ {
				e, err := s.Next()
				if err != nil {
					break
				}
				if n > 10*len(b)+100 && int64(n) > 10*end.Tar {
					t.Fatal("the scan does not end")
				}
				if e.Kind == EventEntry && n%2 == 0 {
					io.Copy(io.Discard, e.Body)
				}
			}
		}
	}
	c := NewCache(1 << 20)
	for _, m := range members {
		p := make([]byte, min(m.TarSize, 1000))
		c.ReadAt(context.Background(), a, always(m), p, m.Tar)
	}
}

// FuzzMemberHeader: what is a member's header is written as the same bytes.
func FuzzMemberHeader(f *testing.F) {
	f.Add(appendMemberHeader(nil, Member{Position: Position{Tar: 1 << 40}, FileSize: 1000, TarSize: 2048, First: 512, ID: 1}))
	f.Add(appendMemberHeader(nil, Member{FileSize: 100, TarSize: 1024, Marker: true}))
	f.Add([]byte(memberMagic))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMemberHeader(b)
		if err != nil {
			if len(b) < MemberHeaderSize {
				return
			}
			// So that the fuzzer gets past the CRC.
			b = bytes.Clone(b)
			copy(b, memberMagic)
			b[fieldVersion] = Version
			binary.LittleEndian.PutUint32(b[fieldCRC:], crc32.ChecksumIEEE(b[fieldVersion:fieldCRC]))
			if m, err = parseMemberHeader(b); err != nil {
				return
			}
		}
		if m.TarSize < 1 || m.TarSize > MemberSize || m.FileSize > maxMemberFile || m.Tar < 0 || m.End().Tar < m.Tar {
			t.Fatalf("%+v", m)
		}
		if got := appendMemberHeader(nil, m); !bytes.Equal(got, b[:MemberHeaderSize]) {
			t.Fatalf("% x becomes % x", b[:MemberHeaderSize], got)
		}
	})
}

// FuzzUstar: what is a header is one of bounded numbers, and what we can write of it is read as the same.
func FuzzUstar(f *testing.F) {
	f.Add(appendHeader(nil, Entry{Name: "files/x", Linkname: "y", Type: TypeFile, Size: 531, Mtime: 1254182100, Inode: 1 << 22}))
	f.Add(appendHeader(nil, Entry{Name: longName, Type: typeLongName, Size: 101}))
	f.Add(make([]byte, BlockSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h [BlockSize]byte
		copy(h[:], b)
		e, err := parseHeader(&h)
		if err != nil {
			// So that the fuzzer gets past the checksum.
			sum, _ := checksums(&h)
			copy(h[ustarMtime:], appendOctal(sum))
			if e, err = parseHeader(&h); err != nil {
				return
			}
		}
		if e.Size < 0 || e.Mtime < 0 || e.Mtime > maxMtime || contentSize(e) < 0 {
			t.Fatalf("%+v", e)
		}
		if e.Size > MaxSize || len(e.Name) > 100 || e.Inode > maxInode {
			return
		}
		var again [BlockSize]byte
		copy(again[:], appendHeader(nil, e))
		if got, err := parseHeader(&again); err != nil || got != e {
			t.Fatalf("%+v becomes %+v, %v", e, got, err)
		}
	})
}

func appendOctal(n int64) []byte {
	b := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		b[i] = '0' + byte(n&7)
		n >>= 3
	}
	return b
}

// Sizes that lie, numbers that cannot be, and bombs are errors, and cost no memory.
func TestHostile(t *testing.T) {
	header := func(change func(h []byte)) []byte {
		h := appendHeader(nil, Entry{Name: "files/x", Type: TypeFile, Size: 10, Mtime: 1})
		change(h)
		sum, _ := checksums((*[BlockSize]byte)(h))
		copy(h[ustarMtime:], appendOctal(sum))
		return append(h, make([]byte, BlockSize)...)
	}
	size := func(field string) []byte { return header(func(h []byte) { copy(h[ustarGID:ustarSize], field) }) }
	member := func(m Member, tar []byte) []byte {
		c, err := deflate.NewCompressor(6)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := appendMember(nil, &m, tar, c)
		return b
	}
	relabel := func(change func(*Member)) []byte {
		m := Member{ID: 1}
		b := member(m, size("00000000012\x00"))
		m.FileSize, m.TarSize = int64(len(b)), 1024
		change(&m)
		return append(appendMemberHeader(nil, m), b[MemberHeaderSize:]...)
	}
	for name, b := range map[string][]byte{
		"negative size":          gzipOf(t, size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe")),
		"size above int64":       gzipOf(t, size("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
		"size near int64":        gzipOf(t, size("\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff")),
		"size beyond the end":    gzipOf(t, size("00000002012\x00")),
		"size not octal":         gzipOf(t, size("0000000001z\x00")),
		"wrong checksum":         gzipOf(t, append([]byte("F"), size("00000000012\x00")[1:]...)),
		"long name of 4 GiB":     gzipOf(t, appendHeader(nil, Entry{Name: longName, Type: typeLongName, Size: 1 << 32})),
		"long name without file": gzipOf(t, appendLong(nil, typeLongName, strings.Repeat("n", 200))),
		"not tar":                gzipOf(t, bytes.Repeat([]byte("spam"), 1000)),
		"not gzip":               bytes.Repeat([]byte("spam"), 1000),
		"file size of 4 GiB":     relabel(func(m *Member) { m.FileSize = 1<<32 - 1 }),
		"file size of 0":         relabel(func(m *Member) { m.FileSize = 0 }),
		"tar size of 4 GiB":      relabel(func(m *Member) { m.TarSize = 1<<32 - 1 }),
		"tar size too small":     relabel(func(m *Member) { m.TarSize = 512 }),
		"tar size too large":     relabel(func(m *Member) { m.TarSize = 2048 }),
		"tar offset negative":    relabel(func(m *Member) { m.Tar = -1 }),
		"first entry behind":     relabel(func(m *Member) { m.First = 1024 }),
		"a marker that is none":  relabel(func(m *Member) { m.Marker = true }),
	} {
		t.Run(name, func(t *testing.T) {
			readAll(t, b)
			a := NewArchive(bytes.NewReader(b), func() (int64, error) { return int64(len(b)), nil }, "x")
			if end, err := a.Complete(Position{}); err != nil || end != (Position{}) {
				t.Errorf("complete up to %v, %v", end, err)
			}
			s := a.Scan(Position{}, Position{File: int64(len(b)), Tar: 2048}, ScanOptions{})
			for {
				e, err := s.Next()
				if err == io.EOF {
					t.Error("the scan finds no fault")
				}
				if err != nil {
					break
				}
				if e.Kind == EventEntry && e.Entry.Size < 0 {
					t.Errorf("%+v", e.Entry)
				}
			}
		})
	}
}
