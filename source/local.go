package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

// LocalOptions of a spool on this host. Zero values are defaults.
type LocalOptions struct {
	ConfigPath      string        // the server's imapd.conf; default /etc/imapd.conf
	LockTimeout     time.Duration // for the locks of one mailbox; default 10 s
	MaxPins         int           // message files of one Fetch that are open at a time; default 1024, or a quarter of RLIMIT_NOFILE
	MboxlistCommand string        // path of ctl_mboxlist; default: looked for; NoMboxlist: the spool is walked
	MaxListAge      time.Duration // a list of mailboxes serves for so long; default 5 s, or 20 times what making the list took if that is more
}

// NoMboxlist as LocalOptions.MboxlistCommand: list the mailboxes from the spool alone.
const NoMboxlist = "-"

const (
	defaultConfig      = "/etc/imapd.conf"
	defaultLockTimeout = 10 * time.Second
	defaultMaxPins     = 1024 // enough for a day's mail of a folder in one round, and opened in a millisecond or two
)

// Local is the spool of a Cyrus server on this host. The process runs as root or as the server's own user.
type Local struct {
	opts  LocalOptions
	conf  *cyrus.Config
	owner lock.Owner // of the server's files: what we make and run there is made and run as that user
	lists lists

	unlocked bool // for a test that shows what the locks are for
}

var _ Source = (*Local)(nil)

// OpenLocal reads the server's configuration. It takes no lock and reads no mail.
func OpenLocal(_ context.Context, o LocalOptions) (*Local, error) {
	if o.ConfigPath == "" {
		o.ConfigPath = defaultConfig
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.MaxPins == 0 {
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return nil, fmt.Errorf("limit of open files: %w", err)
		}
		o.MaxPins = int(max(1, min(defaultMaxPins, limit.Cur/4)))
	}
	conf, err := cyrus.LoadConfig(o.ConfigPath)
	if err != nil {
		return nil, err
	}
	if len(conf.Partitions()) == 0 {
		return nil, fmt.Errorf("%s: names no partition", o.ConfigPath)
	}
	l := &Local{opts: o, conf: conf}
	l.lists.turn = make(chan struct{}, 1)
	// A server that never ran has no folder for locks yet.
	l.owner, err = lock.OwnerOf(conf.Get("mboxname_lockpath"))
	if errors.Is(err, fs.ErrNotExist) {
		l.owner, err = lock.OwnerOf(conf.Get("configdirectory"))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ConfigPath, err)
	}
	return l, nil
}

// Name is the server's name.
func (l *Local) Name() string { return l.conf.ServerName() }

// Close does nothing: between calls Local holds neither locks nor files.
func (l *Local) Close() error { return nil }
