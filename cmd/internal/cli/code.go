package cli

import (
	"errors"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/lock"
)

// Exit codes; docs/cli.md explains them to scripts. A code that a script does not know is a failure.
const (
	OK      = 0
	Failed  = 1
	Usage   = 2
	Partial = 3
	Busy    = 4
	Damaged = 5
)

// Codes is the table of docs/cli.md.
var Codes = []struct {
	Code    int
	Meaning string
}{
	{OK, "all right"},
	{Failed, "failed"},
	{Usage, "wrong usage"},
	{Partial, "done, but some users or messages failed; they are named"},
	{Busy, "the store is in use"},
	{Damaged, "damaged data found"},
}

var (
	// ErrUsage: the command was called wrongly.
	ErrUsage = errors.New("wrong usage")
	// ErrPartial: done, but not for all users or messages.
	ErrPartial = errors.New("not all could be done")
)

// Code is the exit code of an error, the only place that knows it. That part of the work was done counts for more than
// why the rest was not: a busy user among others is 3.
func Code(err error) int {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, ErrUsage):
		return Usage
	case errors.Is(err, archive.ErrDamaged), errors.Is(err, cyrus.ErrDamaged):
		return Damaged
	case errors.Is(err, ErrPartial):
		return Partial
	case errors.Is(err, lock.ErrBusy):
		return Busy
	}
	return Failed
}
