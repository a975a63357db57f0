package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"backupfs/cyrus"
)

// mboxlistTimeout: a million mailboxes take it seconds; it may wait for a lock of a server that is stuck.
const mboxlistTimeout = 5 * time.Minute

var errNotAsked = errors.New("ctl_mboxlist is not asked")

// mboxlist runs ctl_mboxlist as the server's user.
func (l *Local) mboxlist(ctx context.Context) ([]cyrus.Mailbox, error) {
	tool, err := l.mboxlistTool()
	if err != nil {
		return nil, err
	}
	// The tool would make a new, empty list where there is none.
	if !l.bySQL() {
		if _, err := os.Stat(l.database()); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, mboxlistTimeout)
	defer cancel()
	out, err := l.run(ctx, tool, nil, "-d")
	if err != nil {
		return nil, err
	}
	boxes, err := cyrus.ParseMboxlist(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	return boxes, nil
}

// database is the file of the server's own list.
func (l *Local) database() string {
	return cmp.Or(l.conf.Get("mboxlist_db_path"), filepath.Join(l.conf.Get("configdirectory"), "mailboxes.db"))
}

// bySQL: the server's own list is no file.
func (l *Local) bySQL() bool { return l.conf.Get("mboxlist_db") == "sql" }

// databaseState is the fingerprint of that file.
func (l *Local) databaseState() string {
	if l.bySQL() {
		return ""
	}
	return fingerprintOf(l.database())
}

func (l *Local) mboxlistTool() (string, error) {
	switch l.opts.MboxlistCommand {
	case NoMboxlist:
		return "", errNotAsked
	case "":
		return findTool(ByMboxlist)
	}
	return l.opts.MboxlistCommand, nil
}
