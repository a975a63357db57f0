package agent

import (
	"bufio"
	"context"
	"net"
	"time"

	"golang.org/x/time/rate"
)

// conn is a connection that waits only so long for its client. Read first sends what is buffered for it: nobody waits for an answer
// that we hold back. (Go sets TCP_NODELAY: a short answer does not wait for the acknowledgement of the last.)
type conn struct {
	net.Conn
	ctx         context.Context // once it ends, no further request is waited for
	late        context.Context // and then, nothing more is sent
	rate        *rate.Limiter   // of what is sent to all clients
	out         *bufio.Writer
	idle, stall time.Duration
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	// Whoever ends ctx sets the deadline to now afterwards: either he is too late for this look, or in time for the read.
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Write waits for its turn first, a buffer at a time. That is not the client's fault: the stall timeout begins afterwards.
func (c *conn) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), bufferSize)]
		p = p[len(part):]
		if err := c.rate.WaitN(c.late, len(part)); err != nil {
			return written, err
		}
		if err := c.SetWriteDeadline(time.Now().Add(c.stall)); err != nil {
			return written, err
		}
		var n int
		n, err = c.Conn.Write(part)
		written += n
	}
	return written, err
}
