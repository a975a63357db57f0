package restore

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// UIDSet is a set of UIDs; none given: all.
type UIDSet []uidRange

type uidRange struct{ first, last uint32 }

// ParseUIDs reads a set as IMAP writes it: "17", "3:5,9", "100:*".
func ParseUIDs(text string) (UIDSet, error) {
	var set UIDSet
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, ":")
		a, err := parseUID(first)
		b := a
		if ranged && err == nil {
			b, err = parseUID(last)
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no set of UIDs as 17 or 3:5,9", text)
		}
		set = append(set, uidRange{min(a, b), max(a, b)})
	}
	return set, nil
}

func parseUID(text string) (uint32, error) {
	if text == "*" {
		return math.MaxUint32, nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// Has says whether a UID is in the set.
func (s UIDSet) Has(uid uint32) bool {
	for _, r := range s {
		if r.first <= uid && uid <= r.last {
			return true
		}
	}
	return len(s) == 0
}
