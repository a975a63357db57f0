package web

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
)

// day is what there was on one.
type day struct {
	Kind string // good, some, bad
	Text string
}

// weeks is how many a calendar shows: half a year, which is what fits on a phone.
const weeks = 26

// calendar is a picture with a cell for each day: a column is a week, from Monday to Sunday.
type calendar struct {
	Text   string // what the picture says
	Cells  []cell
	Months []month
	Days   []cell // that had something, the newest first, for the table
}

type cell struct {
	X, Y int
	Date string
	day
}

type month struct {
	X    int
	Name string
}

// In the units of the picture: a cell is 11 wide, and begins 13 after the one before; names of days are left of them, those of months above.
const (
	cellStep   = 13
	cellsLeft  = 28
	cellsBelow = 14
)

// newCalendar shows the weeks up to a day. days has those on which there was something, by their dates.
func newCalendar(last time.Time, days map[string]day) calendar {
	var c calendar
	weekday := (int(last.Weekday()) + 6) % 7 // from Monday
	first := -(weeks-1)*7 - weekday
	y, m, d := last.Date()
	for n := first; n <= 0; n++ {
		date := time.Date(y, m, d+n, 12, 0, 0, 0, time.UTC)
		at := cell{X: cellsLeft + (n-first)/7*cellStep, Y: cellsBelow + (n-first)%7*cellStep, Date: date.Format(time.DateOnly)}
		if what, ok := days[at.Date]; ok {
			at.day = what
			c.Days = append([]cell{at}, c.Days...)
		} else {
			at.day = day{"none", "no run"}
		}
		c.Cells = append(c.Cells, at)
		if date.Day() == 1 && n <= -14 { // there is room for the name
			c.Months = append(c.Months, month{at.X, date.Format("Jan")})
		}
	}
	c.Text = c.text()
	return c
}

// named is how many days the text of a calendar names.
const named = 5

func (c calendar) text() string {
	text := fmt.Sprintf("From %s to %s there were runs on %d of %s.", c.Cells[0].Date, c.Cells[len(c.Cells)-1].Date, len(c.Days),
		english.Plural(len(c.Cells), "day", ""))
	var odd []string
	for _, d := range c.Days {
		if d.Kind != "good" {
			odd = append(odd, d.Date)
		}
	}
	switch n := len(odd); {
	case n == 0:
		return text
	case n > named:
		return text + fmt.Sprintf(" Not all went well on %d days, the last of them %s.", n, strings.Join(odd[:named], ", "))
	default:
		return text + " Not all went well on " + strings.Join(odd, ", ") + "."
	}
}
