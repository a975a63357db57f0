package schedule

import "time"

// Trouble is what keeps many users from being backed up. It lasts until it is over, or the process ends.
type Trouble struct {
	What   string    `json:"what"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// trouble notes that there is some, for backupd status.
func (s *Scheduler) trouble(what string, why error, now time.Time) {
	since := now
	if t, ok := s.troubles[what]; ok {
		since = t.Since
	}
	s.troubles[what] = Trouble{what, since, why.Error()}
	s.keep()
}

// untrouble notes that it is over.
func (s *Scheduler) untrouble(what string) {
	if _, ok := s.troubles[what]; ok {
		delete(s.troubles, what)
		s.keep()
	}
}

func (s *Scheduler) settings() settings {
	return settings{s.plan, s.opts.Retries, s.opts.Scrub, s.opts.Retention.Deleted, s.archives.Roots(), s.troubles}
}

// keep stores what backupd status must know besides the users.
func (s *Scheduler) keep() {
	if err := s.state.keep(s.settings()); err != nil {
		s.log.Warn("the settings are not stored for backupd status", "error", err)
	}
}
