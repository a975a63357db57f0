package backup

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Keep says which runs of a user are kept: the newest Last ones, and the newest one of each of the newest so many days, weeks (ISO 8601),
// months and years that have a run. The newest run is always kept.
type Keep struct{ Last, Daily, Weekly, Monthly, Yearly int }

// DefaultKeep is fourteen days.
var DefaultKeep = Keep{Last: 1, Daily: 14}

// ErrKeep: what is to be kept is not said as it must be.
var ErrKeep = errors.New(`not as "last=1,daily=14,weekly=8,monthly=12,yearly=3"`)

// rules of a Keep, each with its name and what tells one period from another.
func (k *Keep) rules() []rule {
	return []rule{
		{"last", &k.Last, func(_ time.Time, i int) int { return i }},
		{"daily", &k.Daily, func(t time.Time, _ int) int { return t.Year()*1000 + t.YearDay() }},
		{"weekly", &k.Weekly, func(t time.Time, _ int) int { year, week := t.ISOWeek(); return year*100 + week }},
		{"monthly", &k.Monthly, func(t time.Time, _ int) int { return t.Year()*100 + int(t.Month()) }},
		{"yearly", &k.Yearly, func(t time.Time, _ int) int { return t.Year() }},
	}
}

type rule struct {
	name   string
	n      *int
	period func(t time.Time, i int) int
}

// ParseKeep reads a Keep; what it does not name is 0.
func ParseKeep(text string) (k Keep, err error) {
	for part := range strings.SplitSeq(text, ",") {
		name, number, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil || n < 0 {
			return Keep{}, fmt.Errorf("%q: %w", part, ErrKeep)
		}
		known := false
		for _, r := range k.rules() {
			if r.name == strings.TrimSpace(name) {
				*r.n, known = n, true
			}
		}
		if !known {
			return Keep{}, fmt.Errorf("%q: %w", part, ErrKeep)
		}
	}
	if k == (Keep{}) {
		return k, fmt.Errorf("%q keeps nothing; last=1 is the newest date alone: %w", text, ErrKeep)
	}
	return k, nil
}

func (k Keep) String() string {
	var parts []string
	for _, r := range k.rules() {
		if *r.n > 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", r.name, *r.n))
		}
	}
	return strings.Join(parts, ",")
}

// Kept says of each of the times at which runs began, oldest first, whether it is kept, with days as they are in a time zone.
func (k Keep) Kept(begun []time.Time, loc *time.Location) []bool {
	kept := make([]bool, len(begun))
	for _, r := range k.rules() {
		left, last := *r.n, 0
		for i := len(begun) - 1; i >= 0 && left > 0; i-- {
			if p := r.period(begun[i].In(loc), i); left == *r.n || p != last {
				kept[i], last = true, p
				left--
			}
		}
	}
	if len(kept) > 0 {
		kept[len(kept)-1] = true
	}
	return kept
}
