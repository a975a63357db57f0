package remote

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"backupfs/internal/wire"
	"backupfs/source"
)

// refusal is what a refused request means, of a user or a mailbox. Other errors it returns as they are.
func refusal(ctx context.Context, what string, err error) error {
	var no refused
	switch {
	case !errors.As(err, &no):
		return err
	case no.says("no", "such", "user"):
		return fmt.Errorf("%s: %w", what, source.ErrNoUser)
	case no.says("no", "such", "folder"):
		return fmt.Errorf("%s: %w", what, source.ErrGone)
	case no.says("busy") && len(no.words) == 3:
		addWaited(ctx, no.words[1:2])
		return remoteError{no.words[2], source.ErrBusy}
	case no.says("failed") && len(no.words) == 2:
		return errors.New(no.words[1]) // it names the mailbox
	}
	return fmt.Errorf("%s: %w", what, err)
}

// remoteError is an error of the agent, in its own words.
type remoteError struct {
	text string
	is   error
}

func (e remoteError) Error() string        { return e.text }
func (e remoteError) Is(target error) bool { return target == e.is }

// waited is for how long the run of ctx has waited for locks.
func waited(ctx context.Context) string {
	d, ok := source.Waited(ctx)
	if !ok {
		return wire.None
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// addWaited counts what the agent has waited, which says what the sum is now.
func addWaited(ctx context.Context, words []string) {
	before, ok := source.Waited(ctx)
	if !ok || len(words) == 0 {
		return
	}
	if ms, err := strconv.ParseUint(words[0], 10, 32); err == nil {
		source.AddWaited(ctx, max(0, time.Duration(ms)*time.Millisecond-before))
	}
}
