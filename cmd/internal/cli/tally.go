package cli

import (
	"errors"
	"fmt"

	"backupfs/archive"
)

// Tally turns the outcomes of many users into one error. The users themselves were reported already.
type Tally struct {
	total, failed, partial int
	first                  error
	damaged                error
	incomplete             bool
}

// Add counts a user: err if the user failed, problems if the user was done but not all of the messages.
func (t *Tally) Add(err error, problems bool) {
	t.total++
	switch {
	case err != nil:
		t.failed++
	case problems:
		t.partial++
	}
	if err != nil && t.first == nil {
		t.first = err
	}
	if errors.Is(err, archive.ErrDamaged) && t.damaged == nil {
		t.damaged = err
	}
}

// Incomplete counts something that failed and belongs to no user.
func (t *Tally) Incomplete() { t.incomplete = true }

// Err is nil if all was well. One user's error is returned as it is.
func (t *Tally) Err() error {
	switch {
	case t.failed == 0 && t.partial == 0 && t.incomplete:
		return ErrPartial
	case t.failed == 0 && t.partial == 0:
		return nil
	case t.total == 1 && t.failed == 1:
		return t.first
	case t.damaged != nil:
		return summed{t.summary() + ", damaged data among them", t.damaged}
	case t.failed == t.total:
		return summed{fmt.Sprintf("all %d users failed", t.total), t.first}
	}
	return fmt.Errorf("%s: %w", t.summary(), ErrPartial)
}

// summed is as one of the users' errors, but for its text and its hint: these were shown.
type summed struct {
	text string
	one  error
}

func (e summed) Error() string        { return e.text }
func (e summed) Is(target error) bool { return errors.Is(e.one, target) }

func (t *Tally) summary() string {
	switch {
	case t.failed == 0:
		return fmt.Sprintf("%d of %d users with problems", t.partial, t.total)
	case t.partial == 0:
		return fmt.Sprintf("%d of %d users failed", t.failed, t.total)
	}
	return fmt.Sprintf("%d of %d users failed, %d with problems", t.failed, t.total, t.partial)
}
