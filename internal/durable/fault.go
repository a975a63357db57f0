package durable

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Fault decides, in tests, about an operation before it is done: create, write, sync, truncate, syncdir, remove or rename
// (its path is the new name). nil lets it happen. An error made by Late is reported after it was done all the same; ErrSkip has it
// reported as done without doing it, which makes tests fast that no power loss ends; any other error is reported instead of doing it.
type Fault func(op, path string) error

var fault atomic.Pointer[Fault]

// InjectFault sets the process's Fault until restore is called. It is for tests, of this package's users too.
func InjectFault(f Fault) (restore func()) {
	old := fault.Swap(&f)
	return func() { fault.Store(old) }
}

// Late makes an error that is reported although the operation took effect.
func Late(err error) error { return lateError{err} }

// ErrSkip is for a Fault to return.
var ErrSkip = errors.New("not done, but reported as done")

type lateError struct{ error }

func (e lateError) Unwrap() error { return e.error }

// do does the work of an operation, unless a test has it fail.
func do(op, path string, work func() error) error {
	f := fault.Load()
	if f == nil {
		return work()
	}
	err := (*f)(op, path)
	if err == nil {
		return work()
	}
	if errors.Is(err, ErrSkip) {
		return nil
	}
	if late := (lateError{}); errors.As(err, &late) {
		if werr := work(); werr != nil {
			return werr
		}
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}
