package cyruslab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSyslog: a server that is well logs no error, one whose mailbox is broken does.
func TestSyslog(t *testing.T) {
	l := Start(t, Options{Syslog: true})
	l.MustAddUsers(t, "alice")
	c := l.MustLogin(t, "alice")
	Must(t, c.Create("INBOX.Work"), c.Append("INBOX.Work", mail, time.Time{}))
	if lines, err := l.Logged(); err != nil || len(lines) > 0 {
		t.Errorf("%q, %v", lines, err)
	}
	dir, err := l.Tool("mbpath", "user.alice.Work")
	Must(t, err, os.Remove(filepath.Join(strings.TrimSpace(string(dir)), "cyrus.header")))
	if _, err := l.MustLogin(t, "alice").Select("INBOX.Work"); err == nil {
		t.Error("a mailbox without a header can be opened")
	}
	if lines, err := l.Logged(); err != nil || len(lines) == 0 {
		t.Errorf("%q, %v", lines, err)
	}
}
