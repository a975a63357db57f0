package web

import (
	"fmt"
	"net/http"

	"github.com/dustin/go-humanize/english"

	"backupfs/schedule"
)

const (
	// listed is how many users the front page has in each of its lists, as backupd status does.
	listed = 50
	// shownLate is how many late users it has: the page of all users begins with the others.
	shownLate = 20
)

type frontPage struct {
	frame
	schedule.Report
	Users, Never, Late, Failed int
	LateUsers                  []userRow
	Calendar                   calendar
	Pace                       string
}

func (h *site) front(r *http.Request) (any, error) {
	rep, err := h.Report(r.Context())
	if err != nil {
		return nil, err
	}
	found, err := h.Users(r.Context(), schedule.Search{Limit: shownLate})
	if err != nil {
		return nil, err
	}
	p := frontPage{frame: frame{Title: "How it stands", AsOf: rep.At}, Report: rep, Pace: pace(rep)}
	for _, u := range rep.Units {
		p.Users, p.Never, p.Late, p.Failed = p.Users+u.Users, p.Never+u.Never, p.Late+u.Late, p.Failed+u.Failed
	}
	for _, u := range found.Users {
		if u.Late {
			p.LateUsers = append(p.LateUsers, userRow{u, found.At})
		}
	}
	p.Calendar = newCalendar(rep.At.Local(), turnsByDay(rep.Days))
	return p, nil
}

// pace says how fast it goes.
func pace(r schedule.Report) string {
	if r.Ends == nil {
		return ""
	}
	return fmt.Sprintf("%s to do, %.1f a second, until about %s.", english.Plural(r.Due, "user", ""), r.PerSecond, stamp(*r.Ends))
}

// turnsByDay is what the calendar shows of all users' turns.
func turnsByDay(days []schedule.Day) map[string]day {
	shown := map[string]day{}
	for _, d := range days {
		text := english.Plural(d.OK, "run", "")
		kind := "good"
		if d.Incomplete > 0 {
			kind = "some"
			text += ", " + english.Plural(d.Incomplete, "other", "") + " incomplete"
		}
		if d.Failed > 0 {
			kind = "some"
			text += ", " + english.Plural(d.Failed, "user", "") + " failed"
		}
		if d.Failed*10 > d.OK+d.Incomplete+d.Failed {
			kind = "bad"
		}
		shown[d.Date] = day{Kind: kind, Text: text}
	}
	return shown
}

// Failing are the first of those who do.
func (p frontPage) Failing() []schedule.Failure { return p.Failures[:min(len(p.Failures), listed)] }

// GoneUsers are the first of those whom no list has any more.
func (p frontPage) GoneUsers() []schedule.Gone { return p.Gone[:min(len(p.Gone), listed)] }

// DamagedUsers are the first of those whose archive is damaged.
func (p frontPage) DamagedUsers() []schedule.Damaged {
	if p.Scrub == nil {
		return nil
	}
	return p.Scrub.Damaged[:min(len(p.Scrub.Damaged), listed)]
}

// Damaged counts them.
func (p frontPage) Damaged() int {
	if p.Scrub == nil {
		return 0
	}
	return len(p.Scrub.Damaged)
}
