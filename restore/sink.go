package restore

import (
	"context"
	"errors"

	"backupfs/cyrus"
)

// Sink is where mail is brought back to. It is used by one goroutine.
type Sink interface {
	// Place is where a folder's messages go. Nothing is changed by asking.
	Place(ctx context.Context, f *Folder) (Place, error)
}

// Finisher is a Sink that may have something left to do when all messages are there for their user.
type Finisher interface {
	Finish(ctx context.Context) error
	Unfinished() []string // what Finish is for
}

// Held says whether a message is there already.
type Held func(*Message) (bool, error)

// heldIn are messages by their digests.
func heldIn(guids map[cyrus.GUID]bool) Held {
	return func(m *Message) (bool, error) { return guids[m.Record.GUID], nil }
}

// ErrBroken: a place takes no more messages.
var ErrBroken = errors.New("it takes no more")

// Place is one folder of a Sink. It must be closed.
type Place interface {
	// Name of the place, for people.
	Name() string
	// Absent: there is no such place yet, not even an empty one.
	Absent() bool
	// Has looks at what it holds already.
	Has(ctx context.Context) (Held, error)
	// Put adds a message that it does not hold. An error is about this message alone, unless it is ErrBroken.
	Put(m *Message) error
	// Commit ends it: what was put is there for its user when it returns without an error, and the place itself, where nothing was. It returns the UIDs that the messages
	// have there by those they had; nil where there are none. An error with UIDs is about what should have come after.
	Commit(ctx context.Context) (map[uint32]uint32, error)
	// Close gives up what was not committed, as far as it was not to be seen already.
	Close() error
}
