package config

import (
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"backupfs/schedule"
)

// leastScrub: more often would be nothing but reading.
const leastScrub = time.Hour

func (r *reader) scrub() schedule.Scrub {
	f := r.file.Scrub
	s := schedule.Scrub{Every: r.duration("scrub.every", f.Every, leastScrub), Repair: f.Repair}
	rate, err := humanize.ParseBytes(strings.TrimSuffix(f.Rate, "/s"))
	if err != nil || rate > math.MaxInt64 {
		r.bad("scrub.rate", `%q is no number of bytes a second as "20MB/s"`, f.Rate)
		return s
	}
	s.Rate = int64(rate)
	return s
}
