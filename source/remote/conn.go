package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"backupfs/internal/wire"
	"backupfs/source"
)

const (
	// helloTime is for a connection to be made, and for what is answered at once, by whatever listens there.
	helloTime = 30 * time.Second
	// DefaultSilence is long: backupcyrusd waits for a mailbox's locks as long as it takes, and an agent may have to wait for a list of all
	// mailboxes first.
	DefaultSilence = 10 * time.Minute
	// A line has a name, a path, an error: not much.
	maxLine = 64 << 10
)

// conn is a connection. It serves one request at a time.
type conn struct {
	nc      net.Conn
	silence time.Duration
	in      *bufio.Reader
	ctx     context.Context // of the conversation

	name     string // of the server
	extended bool
	clean    bool // the last answer was read to its end
	left     int  // bytes of lines that the answer may still have
}

// Read waits for a while only.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	// Whoever ends ctx sets the deadline to now afterwards: either he is too late for this look, or in time for the read.
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.nc.Read(p)
}

// during talks until ctx ends.
func (c *conn) during(ctx context.Context, talk func() error) error {
	c.ctx = ctx
	defer context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Now()) })()
	return talk()
}

// lost is why a conversation cannot go on: the connection broke, or what was sent is no answer.
type lost struct{ error }

func (l lost) Error() string        { return source.ErrLost.Error() + ": " + l.error.Error() }
func (l lost) Unwrap() error        { return l.error }
func (l lost) Is(target error) bool { return target == source.ErrLost }

// refused is the text behind a NO.
type refused struct{ words []string }

func (r refused) Error() string { return "refused: " + strings.Join(r.words, " ") }

// says reports whether a refusal begins so.
func (r refused) says(words ...string) bool {
	for i, w := range words {
		if i >= len(r.words) || r.words[i] != w {
			return false
		}
	}
	return true
}

// maxAnswer bounds the lines of one answer: 200,000 mailboxes of a user, a million users. Files are not counted.
const maxAnswer = 64 << 20

// request asks, and returns once it is known that there is an answer. It is a refused if there is none.
func (c *conn) request(verb string, words ...string) error {
	line := verb + " " + c.name
	for _, w := range words {
		line += " " + wire.Encode(w)
	}
	return c.requestRaw(line)
}

// requestRaw is one whose words are encoded already.
func (c *conn) requestRaw(line string) error {
	if err := c.send(line + "\n"); err != nil {
		return err
	}
	return c.begin()
}

// send sends lines.
func (c *conn) send(lines string) error {
	c.clean = false
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.silence)); err != nil {
		return lost{err}
	}
	if err := c.ctx.Err(); err != nil { // as in Read
		return err
	}
	if _, err := c.nc.Write([]byte(lines)); err != nil {
		return lost{err}
	}
	return nil
}

// begin begins to read an answer.
func (c *conn) begin() error {
	c.clean, c.left = false, maxAnswer
	words, err := c.line()
	if err == nil && words[0] == "NO" {
		return c.refusal(words)
	}
	if err == nil && words[0] != "OK" {
		err = lost{fmt.Errorf("answered %.80q", strings.Join(words, " "))}
	}
	return err
}

// line reads a line of an answer.
func (c *conn) line() ([]string, error) {
	raw, err := c.rawLine()
	if err != nil {
		return nil, err
	}
	words := strings.Split(raw, " ")
	for i, w := range words {
		words[i] = wire.Decode(w)
	}
	return words, nil
}

// refusal is the error of a NO that ends an answer.
func (c *conn) refusal(words []string) error {
	c.clean = true
	return refused{words[1:]}
}

var errLine = errors.New("sent a line that is too long, or lines that do not end")

func (c *conn) rawLine() (string, error) {
	b, err := c.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		err = errLine
	}
	if c.left -= len(b); err == nil && c.left < 0 {
		err = errLine
	}
	if err != nil {
		return "", lost{err}
	}
	return string(b[:len(b)-1]), nil
}

// lines reads an answer up to its DONE, whose further words are returned, or to a NO. each gets the other lines, and reads what
// belongs to one.
func (c *conn) lines(verb string, each func(words []string) error) (rest []string, err error) {
	for {
		words, err := c.line()
		if err != nil {
			return nil, err
		}
		if words[0] == "NO" {
			return nil, c.refusal(words)
		}
		if words[0] == "DONE" && len(words) > 1 && words[1] == verb {
			c.clean = true
			return words[2:], nil
		}
		if err := each(words); err != nil {
			return nil, err
		}
	}
}

// unexpected is a line that does not belong where it stands.
func unexpected(words []string) error {
	return lost{fmt.Errorf("sent %.80q where that means nothing", strings.Join(words, " "))}
}

// connect makes a connection, and learns who is there.
func (s *Source) connect(ctx context.Context) (*conn, error) {
	hello, cancel := context.WithTimeout(ctx, min(helloTime, s.silence))
	defer cancel()
	nc, err := s.dial(hello)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, silence: s.silence, left: maxAnswer}
	c.in = bufio.NewReaderSize(c, maxLine)
	if err = c.during(hello, c.hello); err == nil {
		return c, nil
	}
	_ = nc.Close()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case hello.Err() != nil:
		err = fmt.Errorf("%w: it says nothing", ErrNotAgent)
	}
	return nil, err
}

// hello asks for the extension, which backupcyrusd takes for a PING, and with a wrong name for the right one.
func (c *conn) hello() error {
	if err := c.requestRaw("PING " + wire.Extension + "\nMETA ?"); err != nil {
		return stranger(err)
	}
	_, err := c.lines("PING", func(words []string) error {
		if words[0] != wire.Extension {
			return unexpected(words)
		}
		for _, version := range words[1:] {
			c.extended = c.extended || version == wire.Version
		}
		return nil
	})
	if err != nil {
		return stranger(err)
	}
	words, err := c.line()
	if err == nil && (len(words) != 3 || words[0] != "NO" || words[1] != "iam") {
		err = unexpected(words)
	}
	if err != nil {
		return stranger(err)
	}
	c.clean, c.name = true, words[2]
	return nil
}

// stranger tells one who answers in another way from one who is busy.
func stranger(err error) error {
	var broken lost
	var no refused
	switch {
	case errors.As(err, &no) && no.says("too", "many", "connections"):
		return errors.New("the agent has too many connections")
	case errors.As(err, &broken):
		err = broken.error
	}
	return fmt.Errorf("%w: %w", ErrNotAgent, err)
}
