package restore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// Security is how a connection to an IMAP server is kept from others.
type Security int

// IMAPS is TLS from the first byte, StartTLS after a command; both need a certificate that is good for the host. Plain is neither.
const (
	IMAPS Security = iota
	StartTLS
	Plain
)

// Server is an IMAP server, and who asks it.
type Server struct {
	Address  string // host:port
	Security Security
	TLS      *tls.Config // nil: the system's authorities
	Login    string      // may be an administrator, who then acts for User by proxy authorisation (RFC 4616)
	Password string      // in no error
	User     string
}

// Errors of logging in.
var (
	ErrNoProxy  = errors.New("the server has no AUTHENTICATE PLAIN, by which one acts for another")
	ErrNoSecret = errors.New("the server takes no password on this connection: it wants TLS")
)

// session is a connection that is made when it is needed.
type session struct {
	ctx      context.Context // ends the connection when it ends
	server   Server
	client   *imapclient.Client // nil: none
	stop     func() bool        // of watching the context
	examined string             // the mailbox that is open
}

// open connects and logs in, unless that was done.
func (s *session) open() (*imapclient.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	client, err := s.server.connect(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.server.Address, err)
	}
	stop := context.AfterFunc(s.ctx, func() { _ = client.Close() })
	if err := s.server.logIn(client); err != nil {
		stop()
		_ = client.Close()
		return nil, fmt.Errorf("%s: login as %s: %w", s.server.Address, s.server.who(), err)
	}
	s.client, s.stop, s.examined = client, stop, ""
	return client, nil
}

// close ends the connection. What it was for is done, or has failed by now.
func (s *session) close() {
	if s.client == nil {
		return
	}
	s.stop()
	_ = s.client.Close()
	s.client = nil
}

func (s *Server) connect(ctx context.Context) (*imapclient.Client, error) {
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	config.ServerName = host
	if s.Security == IMAPS {
		conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", s.Address)
		if err != nil {
			return nil, err
		}
		return greeted(imapclient.New(conn, nil))
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	if s.Security == Plain {
		return greeted(imapclient.New(conn, nil))
	}
	client, err := imapclient.NewStartTLS(conn, &imapclient.Options{TLSConfig: config})
	if err != nil {
		return nil, fmt.Errorf("STARTTLS: %w", err)
	}
	return client, nil
}

func greeted(client *imapclient.Client) (*imapclient.Client, error) {
	if err := client.WaitGreeting(); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

// logIn proves who asks, as RFC 4616 has it; where it is the user himself, LOGIN will do.
func (s *Server) logIn(client *imapclient.Client) error {
	caps := client.Caps()
	actsFor := ""
	if s.Login != s.User {
		actsFor = s.User
	}
	switch {
	case caps.Has(imap.AuthCap("PLAIN")):
		return client.Authenticate(sasl.NewPlainClient(actsFor, s.Login, s.Password))
	case caps.Has(imap.CapLoginDisabled):
		return ErrNoSecret
	case actsFor != "":
		return ErrNoProxy
	}
	return client.Login(s.Login, s.Password).Wait()
}

func (s *Server) who() string {
	if s.Login == s.User {
		return s.Login
	}
	return s.Login + " for " + s.User
}
