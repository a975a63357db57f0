package cyruslab

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client is one IMAP connection. It is not safe for concurrent use.
type Client struct {
	conn net.Conn
	r    *bufio.Reader
	tags int
}

// Quote makes a quoted string of an argument, a mailbox name for instance.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// StatusError is a server's NO or BAD.
type StatusError struct{ Command, Text string }

func (e *StatusError) Error() string { return e.Command + ": " + e.Text }

func (l *Lab) dial() (*Client, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(l.Port))
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, r: bufio.NewReader(conn)}
	err = conn.SetDeadline(time.Now().Add(startTimeout))
	if err == nil {
		_, err = c.response() // the greeting
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// Login connects as a user.
func (l *Lab) Login(user string) (*Client, error) {
	c, err := l.dial()
	if err != nil {
		return nil, err
	}
	if _, err := c.Cmd("LOGIN", Quote(user), Quote("pw")); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Admin connects as the server's administrator, who sees internal names ("user.alice.Work", by the server's separator).
func (l *Lab) Admin() (*Client, error) { return l.Login(adminUser) }

// Close drops the connection without ceremony.
func (c *Client) Close() error { return c.conn.Close() }

// Cmd sends a command and returns the untagged responses, parsed. A string is sent as it is, a
// []byte as a literal. A NO or BAD is a *StatusError.
func (c *Client) Cmd(args ...any) ([]List, error) {
	var all []List
	err := c.each(func(r List) error { all = append(all, r); return nil }, args...)
	return all, err
}

// each is Cmd that hands on each response as it comes.
func (c *Client) each(f func(List) error, args ...any) error {
	c.tags++
	tag := "t" + strconv.Itoa(c.tags)
	if err := c.send(tag, args); err != nil {
		return err
	}
	var first error
	for {
		r, err := c.response()
		if err != nil {
			return err
		}
		switch {
		case r.Str(0) == tag && r.Str(1) == "OK":
			return first
		case r.Str(0) == tag:
			return &StatusError{Command: describe(args), Text: r.Str(1) + " " + r.Str(2)}
		case first == nil:
			first = f(r)
		}
	}
}

func (c *Client) send(tag string, args []any) error {
	var b bytes.Buffer
	b.WriteString(tag)
	for _, a := range args {
		b.WriteByte(' ')
		switch a := a.(type) {
		case string:
			b.WriteString(a)
		case []byte:
			fmt.Fprintf(&b, "{%d+}\r\n", len(a)) // RFC 7888: need not wait
			b.Write(a)
		default:
			return fmt.Errorf("argument of type %T", a)
		}
	}
	b.WriteString("\r\n")
	_, err := c.conn.Write(b.Bytes())
	return err
}

// describe is a command in an error message: without its literals.
func describe(args []any) string {
	var words []string
	for _, a := range args {
		switch a := a.(type) {
		case []byte:
			words = append(words, fmt.Sprintf("{%d}", len(a)))
		default:
			words = append(words, fmt.Sprint(a))
		}
	}
	return strings.Join(words, " ")
}
