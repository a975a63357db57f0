package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"sync"
	"time"

	"backupfs/internal/wire"
)

// settled: backupcyrusd tells whole seconds, and the stamp of a change can be older than the change by a tick of the kernel; a file
// system may keep every other second only.
const settled = 2*time.Second + 50*time.Millisecond

// clock knows how far a server's clock is at least. Two changes within a second cannot be told apart by sizes and times, so a fingerprint counts
// only if its newest time was over, by settled, when it was asked for: by the server's clock, since a later change gets a later time then.
//
// That clock is not told. But it has reached each time that a meta file was ever seen to bear, and has gone on since as fast as ours. Only a file
// whose time is ahead of the server's clock, which was put back, would deceive us: so the newest time must be over by our own clock, too,
// and to hide a change both must be wrong.
type clock struct {
	settled time.Duration

	mu     sync.Mutex // guards what follows
	known  bool
	behind time.Duration // the server's clock, since 1970, less our monotonic one, since begun: at least
}

var begun = time.Now()

// saw notes that a file bears a time.
func (c *clock) saw(mtime int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if behind := time.Duration(mtime)*time.Second - time.Since(begun); mtime < maxTime && (!c.known || behind > c.behind) {
		c.known, c.behind = true, behind
	}
}

// maxTime is the last second that a Duration since 1970 holds: in the year 2262.
const maxTime = math.MaxInt64 / int64(time.Second)

// over says that a time was over when something was asked.
func (c *clock) over(mtime int64, asked time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mtime >= maxTime || !c.known {
		return false
	}
	late := time.Duration(mtime)*time.Second + c.settled
	return late <= c.behind+asked.Sub(begun) && late <= time.Duration(asked.UnixNano())
}

// fingerprint of a mailbox whose meta files, in this order, were told of after they were asked for. Empty if it does not count. The METADATA
// of a folder bear no time, but the index changes with them.
//
// cyrus: imap/mailbox.c mailbox_annot_changed
func (c *clock) fingerprint(asked time.Time, id string, metas []wire.Head) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", wire.Encode(id))
	for _, m := range metas {
		c.saw(m.Mtime)
		fmt.Fprintf(h, "%s\n", m)
	}
	for _, m := range metas {
		if m.Mtime != 0 && !c.over(m.Mtime, asked) {
			return ""
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
