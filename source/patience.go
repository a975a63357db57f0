package source

import (
	"context"
	"sync/atomic"
	"time"
)

type waitedKey struct{}

// OneWait makes of ctx one for a whole run: with it, LockTimeout is for the waits for all locks together, not for each. A server that
// keeps a thousand mailboxes locked holds a run up no longer than one that keeps one.
func OneWait(ctx context.Context) context.Context {
	return context.WithValue(ctx, waitedKey{}, new(atomic.Int64))
}

// patience is how long a lock is waited for now; waited is called when that is over. However long others were waited for, each lock
// is tried for as long as a server that works may need it.
func (l *Local) patience(ctx context.Context) (timeout time.Duration, waited func()) {
	timeout = l.opts.LockTimeout
	sum, ok := ctx.Value(waitedKey{}).(*atomic.Int64)
	if !ok {
		return timeout, func() {}
	}
	began := time.Now()
	left := max(timeout-time.Duration(sum.Load()), min(timeout, indexPatience))
	return left, func() { sum.Add(int64(time.Since(began))) }
}

// Waited is for how long locks were waited for under a ctx that OneWait made; ok is false for another.
func Waited(ctx context.Context) (d time.Duration, ok bool) {
	sum, ok := ctx.Value(waitedKey{}).(*atomic.Int64)
	if !ok {
		return 0, false
	}
	return time.Duration(sum.Load()), true
}

// AddWaited counts that locks were waited for on behalf of a ctx that OneWait made: by an agent for its client, or for the client
// by the agent.
func AddWaited(ctx context.Context, d time.Duration) {
	if sum, ok := ctx.Value(waitedKey{}).(*atomic.Int64); ok {
		sum.Add(int64(d))
	}
}
