package schedule

import "time"

// A clock can be wrong, and be put right: by hours, or by years, where the battery of a host is empty. What was noted by a clock that was ahead
// is in the future once it is right, and nobody may wait for that. And a clock that was put ahead ends no time that began a moment ago, where
// something would be removed.

// skew is how far ahead a time may be that is believed: other hosts' clocks differ a little, and NTP puts a clock back by seconds.
const skew = 5 * time.Minute

// past is a time that was noted; zero, as if nothing had been noted, if it is in the future.
func past(t, now time.Time) time.Time {
	if t.After(now.Add(skew)) {
		return time.Time{}
	}
	return t
}

// clock is the one on the wall. The goroutine of Scheduler.Run owns it, but for now.
type clock struct {
	now   func() time.Time // time.Now, but in tests
	shown time.Time        // when it was looked at last, by itself
	began time.Time        // and by the one that nobody can put forward or back
}

const (
	// jump is by how much a clock is put forward or back at least, so that anybody need know: what NTP does all the time is less.
	jump = time.Minute
	// clockLook is how often it is looked at.
	clockLook = 5 * time.Minute
)

// jumped is by how much the clock was put forward since it was looked at last; below zero: back. A host that slept, and did not count that, has its
// clock put forward as well.
func (c *clock) jumped() (by time.Duration) {
	shown, began := c.now().Round(0), time.Now() // Round: without the other clock
	if !c.shown.IsZero() {
		by = shown.Sub(c.shown) - began.Sub(c.began)
	}
	c.shown, c.began = shown, began
	if by.Abs() < jump {
		return 0
	}
	return by
}

// away is how much of the time in which no Scheduler ran does not count towards a removal: nobody knows whether it was as long as the clock says.
func away(was, now time.Time, deleted time.Duration) time.Duration {
	switch passed := now.Sub(was); {
	case was.IsZero():
		return 0
	case passed < 0:
		return passed
	default:
		return max(passed-deleted/4, 0)
	}
}

// lookAtClock notices that the clock was put forward or back. Who is due is asked anew, what was waited for is looked at now; and who is gone has been
// gone for as long as before.
func (s *Scheduler) lookAtClock() {
	by := s.clock.jumped()
	if by == 0 {
		return
	}
	s.log.Warn("the clock was put forward, or back", "by", by.Round(time.Second), "now", s.clock.shown)
	s.goneLater(by)
	s.requeue()
	for _, srv := range s.queue.servers {
		srv.until = time.Time{}
	}
	for _, l := range s.lists {
		if !l.next.IsZero() {
			l.next = s.clock.now()
		}
	}
	s.scrubs.look = time.Time{}
}

// goneLater moves on since when users are gone.
func (s *Scheduler) goneLater(by time.Duration) {
	for _, r := range s.rows {
		if by != 0 && !r.gone.IsZero() {
			r.gone = r.gone.Add(by)
			s.changed[r.Name] = r
		}
	}
}
