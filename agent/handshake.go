package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// handshakeTime is for what takes milliseconds: until it is over, anybody holds a connection.
	handshakeTime = 10 * time.Second
	// maxStrangers is how many may be within their handshake. A further one takes the place of the oldest, so that who answers soon is let
	// in however many others say nothing.
	maxStrangers = 256
)

var errRefused = errors.New("refused")

// strangers are connections of which we do not know whose they are. They take no client's place.
type strangers struct {
	mu    sync.Mutex // guards what follows
	conns []net.Conn // the oldest first
}

// add adds one. If they were too many it closes the oldest, and returns it.
func (s *strangers) add(c net.Conn) (oldest net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == maxStrangers {
		oldest = s.conns[0]
		_ = oldest.Close()
		s.conns = slices.Delete(s.conns, 0, 1)
	}
	s.conns = append(s.conns, c)
	return oldest
}

func (s *strangers) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(other net.Conn) bool { return other == c })
}

// handshake finds out who the client is, where that is asked for, and gives him a place.
func (s *server) handshake(ctx context.Context, c net.Conn) error {
	secured, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	defer s.strangers.remove(c)
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	err := secured.HandshakeContext(ctx)
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "remote error":
		return fmt.Errorf("the client refuses the agent: %s", err) // its word, and no failure of the network
	case err == nil && !s.places.TryAcquire(1):
		s.refuse(c)
		return errRefused
	}
	return err
}
