package cyruslab

import (
	"net"
	"net/textproto"
)

// Deliver hands a message to lmtpd for a recipient: "alice", "alice@example.org", "alice+INBOX.Work".
func (l *Lab) Deliver(rcpt string, msg []byte) error {
	conn, err := net.Dial("unix", l.Dir+"/run/lmtp")
	if err != nil {
		return err
	}
	c := textproto.NewConn(conn)
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		return err
	}
	for _, step := range []struct {
		line string
		code int
	}{{"LHLO lab", 250}, {"MAIL FROM:<>", 250}, {"RCPT TO:<" + rcpt + ">", 250}, {"DATA", 354}} {
		if err := c.PrintfLine("%s", step.line); err != nil {
			return err
		}
		if _, _, err := c.ReadResponse(step.code); err != nil {
			return err
		}
	}
	w := c.DotWriter()
	if _, err := w.Write(msg); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, _, err = c.ReadResponse(250)
	return err
}
