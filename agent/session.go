package agent

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"backupfs/internal/wire"
	"backupfs/source"
)

// session is one connection.
type session struct {
	src    *source.Local
	in     words
	out    *bufio.Writer // what it cannot write it keeps as its error, which Flush returns
	report func(error)   // told why a request failed
	buf    []byte        // of what is sent
}

const bufferSize = 64 << 10

func newSession(src *source.Local, in io.Reader, out *bufio.Writer, report func(error)) *session {
	return &session{src: src, in: words{in: bufio.NewReader(in)}, out: out, report: report, buf: make([]byte, bufferSize)}
}

// run answers requests until QUIT, or until no more come. An error says why it ended otherwise.
func (s *session) run(ctx context.Context) error {
	for {
		s.in.left = maxRequest
		verb, c := s.in.word()
		if c == ended {
			break
		}
		if upper(verb) == "QUIT" {
			s.print("OK\n")
			break
		}
		c, err := s.request(ctx, verb, c)
		if err != nil {
			_ = s.out.Flush() // the client sees where it ends
			return err
		}
		s.in.line(c)
	}
	err := s.out.Flush()
	if s.in.err != nil && s.in.err != io.EOF {
		return s.in.err
	}
	return err
}

// upper is in upper case, ASCII only.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			r -= 'a' - 'A'
		}
		return r
	}, s)
}

func (s *session) print(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

// request answers one request. c is what stands behind the verb; returned is what was read last. An error ends the connection.
//
// cyrus: imap/backupcyrusd.c cmdloop
func (s *session) request(ctx context.Context, verb string, c int) (last int, err error) {
	upperVerb := upper(verb)
	if upperVerb == "PING" {
		return s.ping(c), nil
	}
	if c == '\n' || c == '\r' { // backupcyrusd takes the next line's first word for the server's name
		s.print("NO bad command\n")
		return c, nil
	}
	server, c := s.in.word()
	if server != s.src.Name() {
		s.print("NO iam %s\n", s.src.Name())
		return c, nil
	}
	switch upperVerb {
	case "USERS":
		s.users(ctx)
		return c, nil
	case "UNITS":
		s.units(ctx)
		return c, nil
	}
	if c != ' ' {
		s.print("NO bad command\n")
		return c, nil
	}
	switch upperVerb {
	case "META":
		return s.meta(ctx)
	case "FMULTISTATUS":
		return s.folders(ctx)
	case "FMETA":
		return s.folderMeta(ctx)
	case "FDATA":
		return s.messages(ctx)
	case "STATE":
		return s.extended(ctx, c, s.state)
	case "VANISHED":
		return s.extended(ctx, c, s.vanished)
	case "SNAPSHOT":
		return s.extended(ctx, c, s.snapshotOf)
	}
	s.print("NO unknown command %s\n", wire.Echo(verb))
	return c, nil
}

// user reads the name of a user.
func (s *session) user() (string, int) {
	name, c := s.in.name()
	return s.src.Config().Inbox(name).User(), c
}

// failed answers a request that could not be done for a reason which backupcyrusd does not know.
func (s *session) failed(what string, err error) {
	s.report(err)
	s.print("NO failed %s\n", wire.Encode(what))
}
