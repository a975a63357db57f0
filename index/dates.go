package index

import (
	"fmt"
	"time"

	"backupfs/archive"
)

// DateNames names runs, oldest first, for the tree: the newest run of a day is 2009-09-28, the others
// 2009-09-28T1105Z, with seconds where minutes of that day collide (2009-09-28T110507Z), and with -2, -3 … behind it where
// seconds do (-02 … where there are ten). In another zone than UTC these names end in the zone's offset instead of Z, as +0200;
// the newest run's is the bare day in every zone.
//
// Names are unique. As strings those of different days sort as the days do; within a day, in UTC, the bare name, which is the
// newest, sorts first, and then the others in their order. In zones with summer time the hour that comes
// twice sorts by offset.
func DateNames(runs []archive.Run, loc *time.Location) []string {
	zone := "-0700"
	if loc == time.UTC {
		zone = "Z"
	}
	format := func(layout string) []string {
		s := make([]string, len(runs))
		for i, r := range runs {
			s[i] = r.Begun.In(loc).Format(layout)
		}
		return s
	}
	days, minutes, seconds := format("2006-01-02"), format("2006-01-02T1504"+zone), format("2006-01-02T150405"+zone)
	newest := map[string]int{} // by day
	count := map[string]int{}  // by minute and by second, which differ in length
	for i := range runs {
		newest[days[i]] = i
		count[minutes[i]]++
		count[seconds[i]]++
	}
	nth := map[string]int{}
	names := make([]string, len(runs))
	for i := range runs {
		nth[seconds[i]]++
		switch n := nth[seconds[i]]; {
		case newest[days[i]] == i:
			names[i] = days[i]
		case count[minutes[i]] == 1:
			names[i] = minutes[i]
		case n == 1:
			names[i] = seconds[i]
		default:
			width := len(fmt.Sprint(count[seconds[i]]))
			names[i] = fmt.Sprintf("%s-%0*d", seconds[i], width, n)
		}
	}
	return names
}
