package history

import (
	"errors"
	"fmt"
	"time"

	"backupfs/index"
)

// ErrNoDate: the user has no such date.
var ErrNoDate = errors.New("no such date")

// Run finds a date as people name it: as in the tree (2026-11-23, 2026-11-23T1105Z, latest), today, yesterday; a time names a run also where the
// tree has another name for it.
func (p *Past) Run(text string, now time.Time) (index.Run, error) {
	name, before := text, ""
	switch text {
	case "today":
		name = now.UTC().Format(time.DateOnly)
	case "yesterday":
		name = now.UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	}
	for i := len(p.Runs) - 1; i >= 0; i-- {
		r := p.Runs[i]
		for _, is := range []string{"latest", r.Date, r.Begun.Format("2006-01-02T1504Z"), r.Begun.Format("2006-01-02T150405Z")} {
			if name == is {
				return r, nil
			}
		}
		if before == "" && r.Date < name {
			before = "; the last before it is " + r.Date
		}
	}
	return index.Run{}, fmt.Errorf("%s: %w%s", name, ErrNoDate, before)
}
