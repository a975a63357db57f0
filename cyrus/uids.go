package cyrus

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// UIDSet is a set of UIDs, as IMAP writes it: 2,4:7,12:*. The last means 12 and all above it, whether or not there are any.
type UIDSet struct {
	ranges []uidRange // ascending, apart
	open   uint32     // all from here on; 0: none
}

type uidRange struct{ first, last uint32 }

// ParseUIDSet reads a set, in whatever order.
func ParseUIDSet(text string) (UIDSet, error) {
	var ranges []uidRange
	var open uint32
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, ":")
		if !isRange {
			high = low
		}
		first, err := parseUID(low)
		last, lastErr := parseUID(high)
		first, last = min(first, last), max(first, last)
		switch {
		case cmp.Or(err, lastErr) != nil:
			return UIDSet{}, fmt.Errorf("%q is no set of UIDs as 17 or 3:5,9", text)
		case last <= math.MaxUint32:
			ranges = append(ranges, uidRange{uint32(first), uint32(last)})
		case open == 0 || first < uint64(open):
			open = uint32(min(first, math.MaxUint32))
		}
	}
	return newUIDSet(ranges, open), nil
}

// parseUID: the asterisk is above all.
func parseUID(text string) (uint64, error) {
	if text == "*" {
		return math.MaxUint32 + 1, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return n, err
}

// NewUIDSet is the set of these, in whatever order.
func NewUIDSet(uids []uint32) UIDSet {
	ranges := make([]uidRange, len(uids))
	for i, uid := range uids {
		ranges[i] = uidRange{uid, uid}
	}
	return newUIDSet(ranges, 0)
}

// newUIDSet puts ranges in order, and together where they touch.
func newUIDSet(ranges []uidRange, open uint32) UIDSet {
	slices.SortFunc(ranges, func(a, b uidRange) int { return cmp.Compare(a.first, b.first) })
	set := UIDSet{open: open}
	for _, r := range ranges {
		n := len(set.ranges)
		switch {
		case open != 0 && r.first >= open:
		case n > 0 && uint64(r.first) <= uint64(set.ranges[n-1].last)+1:
			set.ranges[n-1].last = max(r.last, set.ranges[n-1].last)
		default:
			set.ranges = append(set.ranges, r)
		}
	}
	return set
}

// String is the set as a word; of an empty one it is empty.
func (s UIDSet) String() string {
	var words []string
	for _, r := range s.ranges {
		word := strconv.FormatUint(uint64(r.first), 10)
		if r.last != r.first {
			word += ":" + strconv.FormatUint(uint64(r.last), 10)
		}
		words = append(words, word)
	}
	if s.open != 0 {
		words = append(words, strconv.FormatUint(uint64(s.open), 10)+":*")
	}
	return strings.Join(words, ",")
}

// Above adds all UIDs above n, which is not below any of the set.
func (s UIDSet) Above(n uint32) UIDSet {
	if n < math.MaxUint32 {
		s.open = n + 1
	}
	return s
}

// Has says that a UID is in the set.
func (s UIDSet) Has(uid uint32) bool {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].last >= uid })
	return i < len(s.ranges) && s.ranges[i].first <= uid || s.Open(uid)
}

// Open says that a UID is in the part that has no end.
func (s UIDSet) Open(uid uint32) bool { return s.open != 0 && uid >= s.open }
