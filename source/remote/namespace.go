package remote

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"backupfs/cyrus"
)

// namespace is that of a server whose folders are told by the names that users see. It is asked for once.
type namespace struct {
	mu   sync.Mutex
	conf *cyrus.Config
}

// of finds out which namespace a server has: asked for a folder that is not there, it says by which internal name it looked for it, which
// is another one in each namespace.
//
// cyrus: imap/backupcyrusd.c do_fmeta
func (n *namespace) of(c *conn, user string) (*cyrus.Config, error) {
	n.mu.Lock()
	known := n.conf
	n.mu.Unlock()
	if known != nil {
		return known, nil
	}
	none := "INBOX.backupd-" + strings.ToLower(rand.Text())
	err := c.request("FMETA", user, none)
	var no refused
	switch {
	case err == nil:
		return nil, lost{fmt.Errorf("has a folder %s", none)}
	case !errors.As(err, &no) || !no.says("no", "such", "folder") || len(no.words) != 4:
		return nil, fmt.Errorf("namespace of the server: asked for a folder %s: %w", none, err)
	}
	for _, alt := range []bool{false, true} {
		for _, slashes := range []bool{false, true} {
			conf := cyrus.Namespace(alt, slashes)
			if string(conf.Internal(none, user)) == no.words[3] {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.conf = conf
				return conf, nil
			}
		}
	}
	return nil, fmt.Errorf("namespace of the server: it takes %s of user %s for %s, as no known one does", none, user, no.words[3])
}
