package cyrus

import (
	"encoding/binary"
	"fmt"
	"math"
)

const second = 1_000_000_000 // nanoseconds

// internalDate is a Record seen as its InternalDate and InternalNsec.
type internalDate Record

// decode reads the fields of v from b, which the caller has found long enough.
func decode[T any](ops []op[T], v *T, b []byte) {
	for _, o := range ops {
		cell := b[o.off : o.off+o.size]
		switch p := o.ref(v).(type) {
		case *uint32:
			*p = binary.BigEndian.Uint32(cell)
		case *uint64:
			*p = number(cell)
		case *Time:
			*p = timeOf(cell)
		case *internalDate:
			t := timeOf(cell)
			p.InternalDate, p.InternalNsec = t.Sec, t.Nsec
		case *[4]uint32:
			for w := range p {
				p[w] = binary.BigEndian.Uint32(cell[4*w:])
			}
		case *[12]byte:
			copy(p[:], cell)
		case *GUID:
			copy(p[:], cell)
		}
	}
}

// encode is the inverse of decode. A value that its cell cannot hold is an error.
func encode[T any](ops []op[T], v *T, b []byte) error {
	for _, o := range ops {
		cell := b[o.off : o.off+o.size]
		ok := true
		switch p := o.ref(v).(type) {
		case *uint32:
			binary.BigEndian.PutUint32(cell, *p)
		case *uint64:
			ok = putNumber(cell, *p)
		case *Time:
			ok = putTime(cell, *p)
		case *internalDate:
			ok = putTime(cell, Time{p.InternalDate, p.InternalNsec})
		case *[4]uint32:
			for w := range p {
				binary.BigEndian.PutUint32(cell[4*w:], p[w])
			}
		case *[12]byte:
			copy(cell, p[:])
		case *GUID:
			copy(cell, p[:])
		}
		if !ok {
			return fmt.Errorf("%s does not fit into %d bytes", o.name, o.size)
		}
	}
	return nil
}

func number(cell []byte) uint64 {
	if len(cell) == 4 {
		return uint64(binary.BigEndian.Uint32(cell))
	}
	return binary.BigEndian.Uint64(cell)
}

func putNumber(cell []byte, n uint64) bool {
	if len(cell) == 8 {
		binary.BigEndian.PutUint64(cell, n)
		return true
	}
	binary.BigEndian.PutUint32(cell, uint32(n))
	return n <= math.MaxUint32
}

func timeOf(cell []byte) Time {
	if len(cell) == 4 {
		return Time{Sec: int64(binary.BigEndian.Uint32(cell))}
	}
	ns := int64(binary.BigEndian.Uint64(cell))
	t := Time{ns / second, int32(ns % second)}
	if t.Nsec < 0 {
		t.Sec, t.Nsec = t.Sec-1, t.Nsec+second
	}
	return t
}

// putTime drops the nanoseconds where the version has none.
func putTime(cell []byte, t Time) bool {
	if t.Nsec < 0 || t.Nsec >= second {
		return false
	}
	if len(cell) == 4 {
		binary.BigEndian.PutUint32(cell, uint32(t.Sec))
		return t.Sec >= 0 && t.Sec <= math.MaxUint32
	}
	const lowest, highest = math.MinInt64/second - 1, math.MaxInt64 / second
	ns := t.Sec*second + int64(t.Nsec) // wraps around where it is out of range, which is then found out
	binary.BigEndian.PutUint64(cell, uint64(ns))
	return t.Sec >= lowest && t.Sec <= highest && timeOf(cell) == t
}
