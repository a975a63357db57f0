package main

import (
	"encoding/json"
	"fmt"
	"io"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

// verified is one user in --json.
type verified struct {
	User    string    `json:"user"`
	Runs    int       `json:"runs"`
	Entries int       `json:"entries"`
	Bytes   int64     `json:"bytes"`
	Archive []string  `json:"archive,omitempty"`
	Index   string    `json:"index,omitempty"`
	Damaged []finding `json:"damaged"`
	Missing []finding `json:"missing"`
}

// finding is one message, or one file of a folder.
type finding struct {
	Folder string   `json:"folder"`
	UID    uint32   `json:"uid,omitempty"`
	File   string   `json:"file,omitempty"`
	Dates  []string `json:"dates"`
	Error  string   `json:"error,omitempty"`
}

func printReport(out io.Writer, u store.User, r *backup.Report, asJSON bool) {
	if asJSON {
		v := verified{User: u.Name, Runs: r.Runs, Entries: r.Entries, Bytes: r.Bytes,
			Damaged: findings(r.Damaged), Missing: findings(r.Missing)}
		for _, err := range r.Archive {
			v.Archive = append(v.Archive, err.Error())
		}
		if r.Index != nil {
			v.Index = r.Index.Error()
		}
		_ = json.NewEncoder(out).Encode(v)
		return
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "%s: %s\n", cli.Clean(u.Name), cli.Clean(fmt.Sprintf(format, args...)))
	}
	for _, err := range r.Archive {
		say("%v", err)
	}
	for _, f := range r.Damaged {
		say("%s is damaged, on %s: %v", f.What(), span(f.Dates), f.Err)
	}
	for _, f := range r.Missing {
		say("%s was missing on the server, on %s", f.What(), span(f.Dates))
	}
	if r.Index != nil {
		say("index: %v", r.Index)
	}
	say("%d runs, %d entries, %s: %d damaged, %d missing on the server", r.Runs, r.Entries, size(r.Bytes), len(r.Damaged), len(r.Missing))
}

func findings(list []backup.Finding) []finding {
	out := make([]finding, 0, len(list))
	for _, f := range list {
		j := finding{Folder: f.Folder, UID: f.UID, File: f.File, Dates: f.Dates}
		if f.Err != nil {
			j.Error = f.Err.Error()
		}
		out = append(out, j)
	}
	return out
}

// span shortens a list of dates.
func span(dates []string) string {
	switch n := len(dates); n {
	case 0:
		return "no date"
	case 1:
		return dates[0]
	case 2:
		return dates[0] + ", " + dates[1]
	default:
		return fmt.Sprintf("%s … %s (%d dates)", dates[0], dates[n-1], n)
	}
}
