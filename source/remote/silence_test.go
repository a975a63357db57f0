package remote

import (
	"bufio"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"backupfs/internal/wire"
	"backupfs/source"
)

// hanging are connections to an agent that hangs: it says who it is, and answers nothing. mute: not even that.
func hanging(mute bool) Dial {
	return func(context.Context) (net.Conn, error) {
		agent, c := net.Pipe()
		go func() { // until the other side is closed
			defer agent.Close()
			lines := bufio.NewScanner(agent)
			for n := 1; lines.Scan(); n++ {
				if n == 2 && !mute {
					_, _ = agent.Write([]byte("OK\n" + wire.Extension + " " + wire.Version + "\nDONE PING\nNO iam imap\n"))
				}
			}
		}()
		return c, nil
	}
}

// TestSilence: who hangs is waited for as long as is said, at each try.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const silence = time.Minute
		s, err := Open(t.Context(), hanging(false), Options{Silence: silence})
		must(t, err)
		began := time.Now()
		if _, err := s.Users(t.Context()); !errors.Is(err, source.ErrLost) {
			t.Error(err)
		}
		if took := time.Since(began); took != maxTries*silence {
			t.Errorf("given up after %s", took)
		}
		must(t, s.Close())
		began = time.Now()
		if _, err := Open(t.Context(), hanging(true), Options{Silence: silence}); !errors.Is(err, ErrNotAgent) {
			t.Error(err)
		}
		if took := time.Since(began); took != helloTime {
			t.Errorf("waited %s for a word", took)
		}
	})
}
