package web

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"backupfs/cmd/internal/cli"
	"backupfs/index"
)

type userPage struct {
	frame
	User     userRow
	NoRuns   string // why they cannot be shown
	Rebuild  bool   // and that the index can be made anew
	All      int    // runs
	Runs     []index.Run
	Before   int // where the next page begins; 0: there is none
	Growth   growth
	Calendar calendar
}

func (h *site) user(r *http.Request) (any, error) {
	form := r.URL.Query()
	u, err := h.User(r.Context(), form.Get("name"))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	p := userPage{frame: frame{Title: cli.Clean(u.Name), AsOf: now}, User: userRow{u, now}}
	runs, err := h.Runs(u.Name)
	if err != nil {
		p.NoRuns, p.Rebuild = err.Error(), errors.Is(err, index.ErrNone)
		return p, nil
	}
	if p.All = len(runs); p.All == 0 {
		return p, nil
	}
	p.Growth, p.Calendar = newGrowth(runs, now), newCalendar(now.UTC(), runsByDay(runs))
	before, err := strconv.Atoi(form.Get("before"))
	if err != nil {
		before = runs[p.All-1].Run.Run + 1
	}
	for _, run := range slices.Backward(runs) {
		if len(p.Runs) == perPage {
			p.Before = p.Runs[perPage-1].Run.Run
			break
		}
		if run.Run.Run < before {
			p.Runs = append(p.Runs, run)
		}
	}
	return p, nil
}

// runsByDay is what the calendar shows of a user's runs. Days are those of the tree, in UTC.
func runsByDay(runs []index.Run) map[string]day {
	shown := map[string]day{}
	for _, r := range runs {
		date := r.Begun.Format(time.DateOnly)
		d, again := shown[date]
		if again {
			d.Text += "; "
		} else {
			d.Kind = "good"
		}
		d.Text += english.Plural(r.NewMessages, "new message", "")
		if remarks := cli.Remarks(r.Run); len(remarks) > 0 {
			d.Kind = "some"
			d.Text += ", " + strings.Join(remarks, ", ")
		}
		shown[date] = d
	}
	return shown
}
