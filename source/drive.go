package source

import (
	"context"
	"io"

	"golang.org/x/sync/semaphore"
)

// drive bounds what is read of a partition at a time, by all who read there: a disk that has hundreds of requests before it keeps the
// server's own users waiting, and gets none of them done sooner. A nil one bounds nothing.
type drive struct {
	bytes int64
	free  *semaphore.Weighted
}

func newDrive(bytes int64) *drive { return &drive{bytes: bytes, free: semaphore.NewWeighted(bytes)} }

// read is f, but each reader waits for its turn.
func (d *drive) read(f io.ReaderAt) io.ReaderAt {
	if d == nil {
		return f
	}
	return inTurn{f, d}
}

type inTurn struct {
	f io.ReaderAt
	d *drive
}

// ReadAt waits for others who wait for the disk, and for nobody's client: no turn is held while something is sent.
func (r inTurn) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), r.d.bytes)
	if err := r.d.free.Acquire(context.Background(), n); err != nil {
		return 0, err
	}
	defer r.d.free.Release(n)
	return r.f.ReadAt(p, off)
}
