package schedule

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Report is how it stands at a moment.
type Report struct {
	At        time.Time    `json:"at"`
	Units     []UnitReport `json:"units"`
	Due       int          `json:"due"` // users whose turn has come
	PerSecond float64      `json:"users_per_second"`
	Ends      *time.Time   `json:"ends,omitempty"` // when all who are due will have had their turn, if it goes on like this
	Failures  []Failure    `json:"failures"`
	Gone      []Gone       `json:"gone"`     // whom the store has and no list
	Troubles  []Trouble    `json:"troubles"` // the oldest first
	Stores    []Space      `json:"stores"`
	Scrub     *ScrubReport `json:"scrub,omitempty"` // nil: archives are not read again
	Aside     []Aside      `json:"damaged_archives_kept"`
	Days      []Day        `json:"days"` // on which there were runs, oldest first
}

// UnitReport is a drive unit's part.
type UnitReport struct {
	Server string     `json:"server"`
	Unit   string     `json:"unit"`
	Users  int        `json:"users"`
	Never  int        `json:"never"` // were backed up
	Late   int        `json:"late"`
	Failed int        `json:"failed"`
	Due    int        `json:"due"`
	Oldest *time.Time `json:"oldest,omitempty"` // backup
	Newest *time.Time `json:"newest,omitempty"`
}

// Failure is a user whose last turn failed, or whose last run lacks something.
type Failure struct {
	User   string     `json:"user"`
	Server string     `json:"server"`
	Unit   string     `json:"unit"`
	Tries  int        `json:"tries"` // that failed; 0: there was a run, which lacks something
	Last   *time.Time `json:"last,omitempty"`
	Reason string     `json:"reason"`
}

// Gone is a user whom no list has any more.
type Gone struct {
	User    string     `json:"user"`
	Last    *time.Time `json:"last,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
	Removed *time.Time `json:"removed_after,omitempty"` // as retention says
}

// Aside are a user's damaged archives that repairs have left beside the new ones, as his last turn found them, or the last time that his archive was read.
type Aside struct {
	User  string `json:"user"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// rateSpan is how long ago users may have ended who count for the rate.
const rateSpan = 10 * time.Minute

// Users are those whom a list has.
func (r Report) Users() (n int) {
	for _, u := range r.Units {
		n += u.Users
	}
	return n
}

// ReadReport reads how it stands from the state, whether a Scheduler is running or not. The troubles of one that is not are over.
func ReadReport(statePath string, running bool) (Report, Plan, error) {
	s, err := openDB(statePath, false)
	if err != nil {
		return Report{}, Plan{}, err
	}
	defer func() { _ = s.close() }()
	set, err := s.settings()
	if err != nil {
		return Report{}, Plan{}, err
	}
	if !running {
		set.Troubles = nil
	}
	all, err := s.load()
	if err != nil {
		return Report{}, Plan{}, err
	}
	days, err := s.days()
	if err != nil {
		return Report{}, Plan{}, err
	}
	rows := make(map[string]*row, len(all))
	for _, r := range all {
		rows[r.Name] = r
	}
	return report(rows, days, set, time.Now()), set.Plan, nil
}

func report(rows map[string]*row, days map[string]*Day, set settings, now time.Time) Report {
	rep := Report{At: now, Days: sorted(days), Failures: []Failure{}, Gone: []Gone{}, Troubles: []Trouble{}, Aside: []Aside{}}
	units := map[User]*UnitReport{} // by server and unit
	var ended int
	if set.Scrub.Rate > 0 {
		rep.Scrub = &ScrubReport{Every: set.Scrub.Every.String(), Damaged: []Damaged{}}
	}
	by := newDeadlines(set, now)
	first := now
	for _, r := range rows {
		if rep.Scrub != nil {
			rep.Scrub.add(r, set.Scrub.Every, now)
		}
		if r.aside.Files > 0 {
			rep.Aside = append(rep.Aside, Aside{r.Name, r.aside.Files, r.aside.Bytes})
		}
		if !r.listed {
			rep.Gone = append(rep.Gone, Gone{r.Name, known(r.last), known(r.gone), known(r.removeAt(set.Deleted))})
			continue
		}
		key := User{Server: r.Server, Unit: r.Unit}
		u := units[key]
		if u == nil {
			u = &UnitReport{Server: r.Server, Unit: r.Unit}
			units[key] = u
		}
		u.add(r, by)
		if by.due(r) {
			u.Due++
			rep.Due++
		}
		if r.reason != "" {
			rep.Failures = append(rep.Failures, Failure{r.Name, r.Server, r.Unit, r.tries, known(r.last), r.reason})
		}
		if now.Sub(past(r.ended, now)) < rateSpan {
			ended++
			first = earlier(first, r.ended)
		}
	}
	if span := now.Sub(first).Seconds(); ended > 1 && span > 0 {
		rep.PerSecond = float64(ended) / span
		ends := now.Add(time.Duration(float64(rep.Due) / rep.PerSecond * float64(time.Second)))
		if rep.Due > 0 {
			rep.Ends = &ends
		}
	}
	for _, u := range slices.SortedFunc(maps.Values(units), func(a, b *UnitReport) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Unit, b.Unit))
	}) {
		rep.Units = append(rep.Units, *u)
	}
	for _, t := range set.Troubles {
		rep.Troubles = append(rep.Troubles, t)
	}
	for _, root := range set.Stores {
		space := spaceOf(root)
		rep.Stores = append(rep.Stores, space)
		if why := space.trouble(); why != "" {
			rep.Troubles = append(rep.Troubles, Trouble{"store " + root, now, why})
		}
	}
	if rep.Scrub != nil {
		rep.Troubles = append(rep.Troubles, rep.Scrub.troubles()...)
	}
	slices.SortFunc(rep.Troubles, func(a, b Trouble) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.What, b.What)) })
	slices.SortFunc(rep.Failures, func(a, b Failure) int { return cmp.Compare(a.User, b.User) })
	slices.SortFunc(rep.Aside, func(a, b Aside) int { return cmp.Compare(a.User, b.User) })
	slices.SortFunc(rep.Gone, func(a, b Gone) int { return cmp.Compare(a.User, b.User) })
	return rep
}

// deadlines are by whom a plan counts as due or late at a moment: to ask the plan for each user takes a hundred times as long.
type deadlines struct {
	settings
	now, dueBefore, lateBefore time.Time
}

func newDeadlines(set settings, now time.Time) deadlines {
	return deadlines{set, now, set.Plan.dueBefore(now), set.Plan.lateBefore(now)}
}

func (d deadlines) due(r *row) bool {
	since, pause := r.waits(d.Plan, d.Retries, d.now)
	if pause > 0 {
		return !since.Add(pause).After(d.now)
	}
	return since.Before(d.dueBefore)
}

func (d deadlines) late(r *row) bool { return r.since(d.now).Before(d.lateBefore) }

func (u *UnitReport) add(r *row, by deadlines) {
	u.Users++
	switch {
	case r.last.IsZero():
		u.Never++
	case past(r.last, by.now).IsZero(): // nobody knows when
	default:
		if u.Oldest == nil || r.last.Before(*u.Oldest) {
			u.Oldest = known(r.last) // a copy: the row is not the reader's
		}
		if u.Newest == nil || r.last.After(*u.Newest) {
			u.Newest = known(r.last)
		}
	}
	if by.late(r) {
		u.Late++
	}
	if r.tries > 0 {
		u.Failed++
	}
}

// known is a time for JSON, nil if there is none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
