package agent

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// TestRate: what is sent to all clients together is as slow as it should be, and waiting for it is no client's fault.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := rate.NewLimiter(64<<10, bufferSize) // one buffer a second
		began := time.Now()
		var both errgroup.Group
		for range 2 {
			server, client := net.Pipe()
			c := &conn{Conn: server, ctx: t.Context(), late: t.Context(), rate: limiter, stall: time.Second / 2}
			both.Go(func() error {
				if n, err := c.Write(make([]byte, 5*bufferSize)); err != nil || n != 5*bufferSize {
					t.Errorf("%d bytes written: %v", n, err)
				}
				return server.Close()
			})
			both.Go(func() error {
				_, err := io.Copy(io.Discard, client)
				return err
			})
		}
		if err := both.Wait(); err != nil {
			t.Error(err)
		}
		if took, want := time.Since(began), 9*time.Second; took != want { // the first buffer waits for nothing
			t.Errorf("took %v, want %v", took, want)
		}
	})
}
