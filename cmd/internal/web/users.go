package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/dustin/go-humanize/english"

	"backupfs/schedule"
)

// userRow is a user in a table.
type userRow struct {
	schedule.UserReport
	At time.Time
}

// word is one about how it stands with a user.
type word struct{ Kind, Text string }

// Words are the worst first.
func (u userRow) Words() (words []word) {
	say := func(is bool, kind, text string) {
		if is {
			words = append(words, word{kind, text})
		}
	}
	say(u.Damage != "", "bad", "archive damaged")
	say(u.Late, "bad", "late")
	say(u.Tries > 0, "bad", "failed "+english.Plural(u.Tries, "time", ""))
	say(u.Tries == 0 && u.Reason != "", "some", "incomplete")
	say(u.Last.IsZero(), "some", "never backed up")
	say(!u.Listed, "plain", "no longer listed")
	say(u.Running, "plain", "being worked on")
	say(u.Listed && !u.Running && !u.Last.IsZero() && !u.Late && u.Tries == 0 && !u.Due.After(u.At), "plain", "due")
	say(len(words) == 0, "good", "up to date")
	return words
}

// perPage is how many users, or runs of one, are on a page.
const perPage = 50

type usersPage struct {
	frame
	schedule.Found
	Rows        []userRow
	First, Last int // their numbers, from 1
	More        bool
}

func (h *site) users(r *http.Request) (any, error) {
	form := r.URL.Query()
	q := schedule.Search{Name: form.Get("q"), Limit: perPage}
	if name := form.Get("after"); name != "" {
		since, _ := strconv.ParseInt(form.Get("since"), 10, 64) // what is no number begins at the first
		q.After = schedule.Place{Gone: form.Get("gone") == "true", Since: since, Name: name}
	}
	found, err := h.Users(r.Context(), q)
	if err != nil {
		return nil, err
	}
	p := usersPage{frame: frame{Title: "Users", AsOf: found.At, Query: q.Name}, Found: found, First: found.Before + 1}
	for _, u := range found.Users {
		p.Rows = append(p.Rows, userRow{u, found.At})
	}
	p.Last = found.Before + len(p.Rows)
	p.More = p.Last < found.All
	return p, nil
}
