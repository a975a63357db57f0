package cli

import (
	"fmt"

	"github.com/dustin/go-humanize/english"

	"backupfs/archive"
)

// Remarks say what is odd about a run.
func Remarks(r archive.Run) (list []string) {
	add := func(is bool, format string, args ...any) {
		if is {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(r.Inferred, "another tool's")
	add(!r.Clock.IsZero(), "the clock said %s", r.Clock.Format("2006-01-02T1504Z"))
	add(len(r.Skipped) > 0, "%s skipped", english.Plural(len(r.Skipped), "folder", ""))
	add(r.Missing > 0, "%d missing", r.Missing)
	add(r.Mismatched > 0, "%d mismatched", r.Mismatched)
	add(r.Lost > 0, "%d lost", r.Lost)
	return list
}
