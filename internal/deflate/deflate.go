// Package deflate compresses and inflates whole buffers of raw DEFLATE (RFC 1951), without a stream's state.
//
// libdeflate does it, three times as fast as Go's own code (docs/benchmarks.md). A build with the tag purego, or
// without cgo, takes klauspost/compress instead: slower, the same format. Both are bounded by the buffers handed
// in, so that no input makes them allocate.
package deflate

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt: the input is no DEFLATE stream, or it ends early.
	ErrCorrupt = errors.New("deflate stream is corrupt")
	// ErrSpace: the stream holds more than the buffer for it.
	ErrSpace = errors.New("deflate stream holds more than it should")
)

// Levels of compression: the fastest, and the one that compresses most.
const (
	MinLevel = 1
	MaxLevel = 12
)

func checkLevel(level int) error {
	if level < MinLevel || level > MaxLevel {
		return fmt.Errorf("compression level %d: must be %d to %d", level, MinLevel, MaxLevel)
	}
	return nil
}
