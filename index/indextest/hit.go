package indextest

import (
	"bytes"
	"compress/flate"
	"io"
	"sort"
	"testing"

	"backupfs/archive"
)

// ComesOut is what the standard library still makes of a member of ours in the bytes of an archive.
func ComesOut(b []byte, m archive.Member) []byte {
	tar := make([]byte, m.TarSize)
	n, _ := io.ReadFull(flate.NewReader(bytes.NewReader(b[min(m.File+archive.MemberHeaderSize, int64(len(b))):])), tar)
	return tar[:n]
}

// Hit says of a stretch of the tar whether it stands in a member and does not come out of that any more as it was.
func Hit(whole, spoilt []byte, m archive.Member) func(from, to int64) bool {
	was, is := ComesOut(whole, m), ComesOut(spoilt, m)
	return func(from, to int64) bool {
		from, to = max(from-m.Tar, 0), min(to-m.Tar, m.TarSize)
		return from < to && (to > int64(len(is)) || !bytes.Equal(was[from:to], is[from:to]))
	}
}

// Flip flips a byte of a member such that a stretch of the tar that it has is hit, and nothing before that.
func Flip(t testing.TB, whole []byte, m archive.Member, from, to int64) []byte {
	t.Helper()
	first, last := m.File+archive.MemberHeaderSize, m.End().File-8
	flipped := func(at int64) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		return b
	}
	// What is flipped further behind shows further behind, but for what stands in a block's tables.
	n := sort.Search(int(last-first), func(i int) bool { return !Hit(whole, flipped(first+int64(i)), m)(m.Tar, from) })
	for at := first + int64(n); at < last; at++ {
		b := flipped(at)
		if hit := Hit(whole, b, m); hit(from, to) && !hit(m.Tar, from) {
			return b
		}
	}
	t.Fatalf("no byte of the member at %d hits %d to %d alone", m.File, from, to)
	return nil
}
