package fs

import (
	"context"
	"time"
)

// interrupt is the context of a request: it ends when the kernel says that the caller was interrupted.
type interrupt <-chan struct{}

var _ context.Context = interrupt(nil)

func (i interrupt) Deadline() (time.Time, bool) { return time.Time{}, false }
func (i interrupt) Done() <-chan struct{}       { return i }
func (i interrupt) Value(any) any               { return nil }
func (i interrupt) Err() error {
	select {
	case <-i:
		return context.Canceled
	default:
		return nil
	}
}
