package schedule

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// ScrubReport is how it stands with reading archives again.
type ScrubReport struct {
	Every   string     `json:"every"`
	Late    int        `json:"late"`             // archives that were not read for longer
	Oldest  *time.Time `json:"oldest,omitempty"` // when the one was read that is longest unread, of those that ever were
	Damaged []Damaged  `json:"damaged"`
}

// Damaged is an archive that is damaged, and was not repaired.
type Damaged struct {
	User  string    `json:"user"`
	Found time.Time `json:"found"`
	What  string    `json:"what"`
}

func (s *ScrubReport) add(r *row, every time.Duration, now time.Time) {
	switch since := past(r.scrubbed, now); {
	case !since.IsZero():
		if s.Oldest == nil || since.Before(*s.Oldest) {
			s.Oldest = &since
		}
		s.late(since, every, now)
	case !r.last.IsZero() && !r.seen.IsZero():
		s.late(r.seen, every, now)
	}
	if r.damage != "" {
		s.Damaged = append(s.Damaged, Damaged{r.Name, r.scrubbed, r.damage})
	}
}

func (s *ScrubReport) late(since time.Time, every time.Duration, now time.Time) {
	if now.Sub(since) > every {
		s.Late++
	}
}

// troubles are those that somebody must see to.
func (s *ScrubReport) troubles() (list []Trouble) {
	slices.SortFunc(s.Damaged, func(a, b Damaged) int { return cmp.Or(a.Found.Compare(b.Found), cmp.Compare(a.User, b.User)) })
	if n := len(s.Damaged); n > 0 {
		first := s.Damaged[0]
		list = append(list, Trouble{"archives", first.Found, fmt.Sprintf("%d damaged, first that of %s: %s", n, first.User, first.What)})
	}
	return list
}
