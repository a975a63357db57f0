package wire

import (
	"errors"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// UIDs is a set of UIDs, as IMAP writes it: 2,4:7,12:*. The last means 12 and all above it, whether or not there are any.
type UIDs struct {
	ranges []uidRange // ascending, apart
	open   uint32     // all from here on; 0: none
}

type uidRange struct{ first, last uint32 }

var errUIDs = errors.New("not a set of UIDs")

// ParseUIDs reads a set; None is the empty one. Its ranges must ascend.
func ParseUIDs(s string) (u UIDs, err error) {
	if s == None {
		return u, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseUint(low, 10, 32)
		if err != nil || first == 0 || u.open != 0 || len(u.ranges) > 0 && uint32(first) <= u.ranges[len(u.ranges)-1].last {
			return UIDs{}, errUIDs
		}
		if isRange && high == "*" {
			u.open = uint32(first)
			continue
		}
		last, err := strconv.ParseUint(high, 10, 32)
		if err != nil || last < first {
			return UIDs{}, errUIDs
		}
		u.ranges = append(u.ranges, uidRange{uint32(first), uint32(last)})
	}
	return u, nil
}

// String is the set as a word.
func (u UIDs) String() string {
	var b strings.Builder
	number := func(n uint32) { b.WriteString(strconv.FormatUint(uint64(n), 10)) }
	for _, r := range u.ranges {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if number(r.first); r.last != r.first {
			b.WriteByte(':')
			number(r.last)
		}
	}
	if u.open != 0 {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		number(u.open)
		b.WriteString(":*")
	}
	if b.Len() == 0 {
		return None
	}
	return b.String()
}

// NewUIDs is the set of these, in whatever order.
func NewUIDs(uids []uint32) (u UIDs) {
	sorted := slices.Clone(uids)
	slices.Sort(sorted)
	for _, uid := range sorted {
		n := len(u.ranges)
		switch {
		case n > 0 && uid <= u.ranges[n-1].last:
		case n > 0 && uid == u.ranges[n-1].last+1:
			u.ranges[n-1].last = uid
		default:
			u.ranges = append(u.ranges, uidRange{uid, uid})
		}
	}
	return u
}

// Above adds all UIDs above n, which is not below any of the set.
func (u UIDs) Above(n uint32) UIDs {
	if n < math.MaxUint32 {
		u.open = n + 1
	}
	return u
}

// Has says that a UID is in the set.
func (u UIDs) Has(uid uint32) bool {
	i := sort.Search(len(u.ranges), func(i int) bool { return u.ranges[i].last >= uid })
	return i < len(u.ranges) && u.ranges[i].first <= uid || u.Open(uid)
}

// Open says that a UID is in the part that has no end.
func (u UIDs) Open(uid uint32) bool { return u.open != 0 && uid >= u.open }
