package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Plan says when users are due: once in each window, or so often that no backup gets older than an age.
type Plan struct {
	Opens, Closes int            // of the window, in minutes after midnight by the clock in Zone; Closes may be untilDone
	Zone          *time.Location // nil: there is no window, but
	Age           time.Duration  // how old a backup may get

	once time.Time // not zero: each user is due once since then, whatever else is said
}

const untilDone = -1

// never is in some centuries.
var never = time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)

// Window makes a plan of "23:55-06:00", or of "23:55": from then on until all is done.
func Window(text string, zone *time.Location) (Plan, error) {
	p := Plan{Zone: zone, Closes: untilDone}
	opens, closes, ends := strings.Cut(text, "-")
	err := minutes(opens, &p.Opens)
	if err == nil && ends {
		err = minutes(closes, &p.Closes)
	}
	switch {
	case err != nil:
		return p, errors.New(`neither a window as "23:55-06:00" nor a time as "23:55"`)
	case p.Closes == p.Opens:
		return p, errors.New("it closes when it opens")
	}
	return p, nil
}

// minutes reads a time of day.
func minutes(clock string, to *int) error {
	t, err := time.Parse("15:04", clock)
	*to = 60*t.Hour() + t.Minute()
	return err
}

// MaxAge makes a plan by which no backup gets older than age, as far as the workers can.
func MaxAge(age time.Duration) Plan { return Plan{Age: age} }

// String is how a plan is written in the configuration.
func (p Plan) String() string {
	if p.Zone == nil {
		return p.Age.String()
	}
	s := fmt.Sprintf("%02d:%02d", p.Opens/60, p.Opens%60)
	if p.Closes != untilDone {
		s += fmt.Sprintf("-%02d:%02d", p.Closes/60, p.Closes%60)
	}
	return s
}

// Explain says it in words.
func (p Plan) Explain() string {
	switch {
	case p.Zone == nil:
		return "no backup gets older than " + p.String()
	case p.Closes == untilDone:
		return fmt.Sprintf("backups each day from %s on (%s)", p, p.Zone)
	}
	return fmt.Sprintf("backups each day, %s (%s)", p, p.Zone)
}

// due is when a user whose last run began at last is to be backed up next, at once if that is zero. With an age it is earlier than
// it need be by a quarter, which is the time for all who are due to get their turn.
func (p Plan) due(last time.Time) time.Time {
	switch {
	case last.IsZero():
		return last
	case !p.once.IsZero() && last.Before(p.once):
		return p.once
	case !p.once.IsZero():
		return never
	case p.Zone == nil:
		return last.Add(p.Age - p.Age/4)
	}
	return p.opening(last)
}

// dueBefore is a moment: who had his last run before it is due now.
func (p Plan) dueBefore(now time.Time) time.Time {
	switch {
	case !p.once.IsZero():
		return p.once
	case p.Zone == nil:
		return now.Add(p.Age/4 - p.Age + 1)
	}
	return p.round(now)
}

// lateBefore is a moment: a user of whom the last backup, or the name in the list, is from before it should have been backed up by now.
func (p Plan) lateBefore(now time.Time) time.Time {
	if p.Zone == nil {
		return now.Add(-p.Age)
	}
	round := p.round(now)
	if p.Closes == untilDone || !p.until(now).IsZero() {
		round = p.round(round.Add(-1)) // this one goes on
	}
	return round
}

// day is the date to which a turn counts that ended then: with a window, that on which it had opened.
func (p Plan) day(ended time.Time) string {
	switch {
	case p.Zone == nil:
		ended = ended.Local()
	case p.once.IsZero():
		ended = p.round(ended)
	default:
		ended = ended.In(p.Zone)
	}
	return ended.Format(time.DateOnly)
}

// until is when the window closes that is open now, zero if none is.
func (p Plan) until(now time.Time) time.Time {
	if !p.once.IsZero() || p.Zone == nil || p.Closes == untilDone {
		return never
	}
	next := 0 // or it closes on the next day
	if p.Closes < p.Opens {
		next = 1
	}
	y, m, d := now.In(p.Zone).Date()
	for day := d - 1; day <= d; day++ {
		end := onWall(y, m, day+next, p.Closes, p.Zone)
		if now.Before(end) && !now.Before(onWall(y, m, day, p.Opens, p.Zone)) {
			return end
		}
	}
	return time.Time{}
}

// next is when the next round begins, zero if there are no rounds.
func (p Plan) next(now time.Time) time.Time {
	switch {
	case !p.once.IsZero():
		return never
	case p.Zone == nil:
		return time.Time{}
	}
	return p.opening(now)
}

// round is when the last window opened, now at the latest.
func (p Plan) round(now time.Time) time.Time {
	y, m, d := now.In(p.Zone).Date()
	for day := 1; ; day-- {
		if t := onWall(y, m, d+day, p.Opens, p.Zone); !t.After(now) {
			return t
		}
	}
}

// opening is when the next window opens after a moment.
func (p Plan) opening(after time.Time) time.Time {
	y, m, d := after.In(p.Zone).Date()
	for day := -1; ; day++ {
		if t := onWall(y, m, d+day, p.Opens, p.Zone); t.After(after) {
			return t
		}
	}
}

// onWall is when a clock on a wall first shows so many minutes after midnight on a day. If it is put forward over that time, this is
// when it is put forward. (time.Date promises one of two moments in such a case, and not which.)
func onWall(year int, month time.Month, day, minutes int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, minutes, 0, 0, zone)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	wanted := time.Date(year, month, day, 0, minutes, 0, 0, time.UTC)
	switch shown := t.Add(time.Duration(offset) * time.Second); {
	case shown.After(wanted):
		return start
	case shown.Before(wanted):
		return end
	case start.IsZero():
		return t
	}
	_, before := start.Add(-1).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); first.Before(start) && before > offset {
		return first.In(zone)
	}
	return t
}

// planJSON is a plan as it is kept for backupd status.
type planJSON struct {
	Window string `json:"window,omitempty"`
	Zone   string `json:"time_zone,omitempty"`
	MaxAge string `json:"max_age,omitempty"`
}

func (p Plan) MarshalJSON() ([]byte, error) {
	if p.Zone == nil {
		return json.Marshal(planJSON{MaxAge: p.String()})
	}
	return json.Marshal(planJSON{Window: p.String(), Zone: p.Zone.String()})
}

func (p *Plan) UnmarshalJSON(b []byte) error {
	var j planJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.Window == "" {
		age, err := time.ParseDuration(j.MaxAge)
		*p = MaxAge(age)
		return err
	}
	zone, err := time.LoadLocation(j.Zone)
	if err == nil {
		*p, err = Window(j.Window, zone)
	}
	return err
}
