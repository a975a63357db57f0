package cyruslab

import (
	"errors"
	"net"
	"net/textproto"
)

// Deliver hands a message to lmtpd for a recipient: "alice", "alice@example.org", "alice+INBOX.Work".
func (l *Lab) Deliver(rcpt string, msg []byte) error { return l.DeliverAll([]string{rcpt}, msg) }

// DeliverAll hands one message to lmtpd for several recipients.
func (l *Lab) DeliverAll(rcpts []string, msg []byte) error {
	conn, err := net.Dial("unix", l.Dir+"/run/lmtp")
	if err != nil {
		return err
	}
	c := textproto.NewConn(conn)
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		return err
	}
	say := func(code int, line string) error {
		if err := c.PrintfLine("%s", line); err != nil {
			return err
		}
		_, _, err := c.ReadResponse(code)
		return err
	}
	err = errors.Join(say(250, "LHLO lab"), say(250, "MAIL FROM:<>"))
	for _, rcpt := range rcpts {
		err = errors.Join(err, say(250, "RCPT TO:<"+rcpt+">"))
	}
	if err = errors.Join(err, say(354, "DATA")); err != nil {
		return err
	}
	w := c.DotWriter()
	if _, err := w.Write(msg); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	for range rcpts {
		if _, _, err := c.ReadResponse(250); err != nil {
			return err
		}
	}
	return nil
}
