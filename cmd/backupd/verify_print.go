package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"backupfs/backup"
	"backupfs/index"
	"backupfs/internal/store"
)

// verified is one user in --json.
type verified struct {
	User       string    `json:"user"`
	Runs       int       `json:"runs"`
	Entries    int       `json:"entries"`
	Bytes      int64     `json:"bytes"`
	Unfinished int64     `json:"unfinished,omitempty"`
	Archive    []string  `json:"archive,omitempty"`
	Index      string    `json:"index,omitempty"`
	Damaged    []finding `json:"damaged"`
	Missing    []finding `json:"missing"`
	Lost       []finding `json:"lost,omitempty"`
}

// finding is one message, or one file of a folder.
type finding struct {
	Folder string   `json:"folder"`
	UID    uint32   `json:"uid,omitempty"`
	File   string   `json:"file,omitempty"`
	Dates  []string `json:"dates"`
	Error  string   `json:"error,omitempty"`
}

// print tells what is damaged on stderr, each thing once, and the rest on out.
func (o *output) print(u store.User, r *backup.Report) {
	if o.json {
		o.printJSON(u, r)
		return
	}
	note := func(format string, args ...any) { o.note("%s: %s", u.Name, fmt.Sprintf(format, args...)) }
	switch {
	case r.Runs == 0 && r.Damage() == 0:
		note("%v (%s)", errNoRun, size(r.Unfinished))
	case errors.Is(r.Index, index.ErrNone) && !errors.Is(r.Index, backup.ErrIndexDiffers):
		note("no usable index: the next backup makes it again, and so does backupd reindex")
	case r.Index != nil:
		note("%v", r.Index)
	}
	for _, err := range r.Archive {
		note("%v", err)
	}
	for _, f := range r.Damaged {
		if slices.Contains(r.Archive, f.Err) {
			note("%s is damaged, on %s", f.What(), span(f.Dates))
		} else {
			note("%s is damaged, on %s: %v", f.What(), span(f.Dates), f.Err)
		}
	}
	for _, f := range r.Missing {
		o.say("%s: %s was missing on the server, on %s", u.Name, f.What(), span(f.Dates))
	}
	for _, f := range r.Lost {
		o.say("%s: %s was lost before a repair, on %s", u.Name, f.What(), span(f.Dates))
	}
	torn := ""
	if r.Unfinished > 0 {
		torn = ", and " + size(r.Unfinished) + " of a run that did not finish"
	}
	o.say("%s: %s, %s, %s%s: %d damaged, %d missing on the server", u.Name, plural(r.Runs, "run"), entries(r.Entries), size(r.Bytes), torn,
		len(r.Damaged), len(r.Missing))
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func (o *output) printJSON(u store.User, r *backup.Report) {
	v := verified{User: u.Name, Runs: r.Runs, Entries: r.Entries, Bytes: r.Bytes, Unfinished: r.Unfinished,
		Damaged: findings(r.Damaged), Missing: findings(r.Missing)}
	if len(r.Lost) > 0 {
		v.Lost = findings(r.Lost)
	}
	for _, err := range r.Archive {
		v.Archive = append(v.Archive, err.Error())
	}
	if r.Index != nil {
		v.Index = r.Index.Error()
	}
	_ = json.NewEncoder(o.out).Encode(v)
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
