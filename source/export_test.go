package source

import (
	"context"
	"testing"
)

// Unlock makes a spool be read without locks.
func Unlock(l *Local) { l.unlocked = true }

// WhileRemoving has something happen while a server is given the time to remove a mailbox's files, once.
func WhileRemoving(t *testing.T, happens func()) {
	waits := whileRemoving
	t.Cleanup(func() { whileRemoving = waits })
	whileRemoving = func(ctx context.Context) error {
		whileRemoving = waits
		happens()
		return waits(ctx)
	}
}
