package indextest

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"backupfs/archive"
)

// Damage is one thing that happened to the bytes of an archive.
type Damage struct {
	What  string
	Bytes []byte
	Hit   []archive.Member // whose bytes it changed
}

// fields of a member: where each begins, docs/format.md. Deflate and trailer follow.
var fields = []struct {
	name     string
	from, to int64
}{
	{"magic", 0, 2}, {"method", 2, 3}, {"FLG", 3, 4}, {"MTIME", 4, 8}, {"XFL", 8, 9}, {"OS", 9, 10}, {"XLEN", 10, 12},
	{"SI", 12, 14}, {"LEN", 14, 16}, {"version", 16, 17}, {"flags", 17, 18}, {"reserved", 18, 20}, {"id", 20, 24}, {"size", 24, 28},
	{"tar size", 28, 32}, {"tar offset", 32, 40}, {"first entry", 40, 44}, {"header's CRC", 44, 48},
}

// Matrix does to each field of some members, and to what lies between and behind them, all that can happen to bytes: flip, zero, cut,
// double, insert.
func Matrix(whole []byte, members, some []archive.Member) iter.Seq[Damage] {
	return func(yield func(Damage) bool) {
		for _, m := range some {
			at, end := m.File, m.End().File
			regions := []region{
				{"the start of the deflate data", at + archive.MemberHeaderSize, at + archive.MemberHeaderSize + 3},
				{"the middle of the deflate data", at + m.FileSize/2, at + m.FileSize/2 + 1},
				{"the second half of the deflate data", at + m.FileSize/2, end - 8},
				{"the end of the deflate data", end - 9, end - 8},
				{"CRC", end - 8, end - 4}, {"ISIZE", end - 4, end}, {"the whole", at, end}, {"the start, and what is before it", max(at-5, 0), at + 5},
			}
			for _, f := range fields {
				regions = append(regions, region{f.name, at + f.from, at + f.to})
			}
			for _, r := range regions {
				for d := range r.damages(whole, members) {
					if d.What = fmt.Sprintf("member at %d: %s", at, d.What); !yield(d) {
						return
					}
				}
			}
		}
		size := int64(len(whole))
		for _, n := range []int64{1, 8, 100, 600} {
			for d := range (region{fmt.Sprintf("the last %d bytes", n), size - n, size}).damages(whole, members) {
				if !yield(d) {
					return
				}
			}
		}
	}
}

// region is a stretch of an archive.
type region struct {
	name     string
	from, to int64
}

func (r region) damages(whole []byte, members []archive.Member) iter.Seq[Damage] {
	was := whole[r.from:r.to]
	with := func(b []byte) []byte { return slices.Concat(whole[:r.from], b, whole[r.to:]) }
	flipped := bytes.Clone(was)
	for i := range flipped {
		flipped[i] ^= 0x55
	}
	kinds := []struct {
		what   string
		bytes  []byte
		behind bool // the bytes themselves are as they were, and more stands behind them
	}{
		{"flipped", with(flipped), false},
		{"zeroed", with(make([]byte, len(was))), false},
		{"cut out", with(nil), false},
		{"doubled", with(slices.Concat(was, was)), true},
		{"followed by rubbish", with(slices.Concat(was, flipped)), true},
	}
	return func(yield func(Damage) bool) {
		for _, k := range kinds {
			if bytes.Equal(k.bytes, whole) {
				continue
			}
			d := Damage{What: r.name + " " + k.what, Bytes: k.bytes}
			for _, m := range members {
				if !k.behind && r.from < m.End().File && r.to > m.File || k.behind && m.File < r.to && r.to < m.End().File {
					d.Hit = append(d.Hit, m)
				}
			}
			if !yield(d) {
				return
			}
		}
	}
}
