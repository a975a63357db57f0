package schedule

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Day counts the turns that users had on a day; in a window that goes over midnight, on the day on which it opened.
type Day struct {
	Date       string `json:"date"` // 2026-11-27
	OK         int    `json:"ok"`
	Incomplete int    `json:"incomplete"`
	Failed     int    `json:"failed"`
}

// keptDays is how many days are remembered, newest first: a year.
const keptDays = 366

// Word is how a turn went: ok; incomplete, of which something could not be backed up; failed. It is empty where somebody else made the run.
func (o Outcome) Word() string {
	switch {
	case o.Err != nil:
		return "failed"
	case o.Result == nil:
		return ""
	case len(o.Result.Problems) > 0:
		return "incomplete"
	}
	return "ok"
}

// count counts a turn, unless the user has another one soon.
func (s *Scheduler) count(o Outcome, now time.Time) {
	word := o.Word()
	if o.Again || word == "" {
		return
	}
	date := s.plan.day(now)
	day := s.days[date]
	if day == nil {
		day = &Day{Date: date}
		s.days[date] = day
	}
	switch word {
	case "failed":
		day.Failed++
	case "incomplete":
		day.Incomplete++
	default:
		day.OK++
	}
	s.counted[date] = day
}

// sorted are the days that are kept, oldest first.
func sorted(days map[string]*Day) []Day {
	list := []Day{}
	for _, d := range slices.SortedFunc(maps.Values(days), func(a, b *Day) int { return cmp.Compare(a.Date, b.Date) }) {
		list = append(list, *d)
	}
	return list[max(len(list)-keptDays, 0):]
}
