package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

// LocalOptions of a spool on this host. Zero values are defaults.
type LocalOptions struct {
	ConfigPath      string        // the server's imapd.conf; default /etc/imapd.conf
	LockTimeout     time.Duration // for the locks of one mailbox, or of a run (OneWait); default 10 s
	MaxPins         int           // message files of one Fetch that are open at a time; default 16,384, or what RLIMIT_NOFILE allows
	MboxlistCommand string        // path of ctl_mboxlist; default: looked for; NoMboxlist: the spool is walked
	DriveBytes      int64         // of the message files of a partition, read at a time; 0: as many as come
	MaxListAge      time.Duration // a list of mailboxes serves for so long after it was made; default 5 s
}

// NoMboxlist as LocalOptions.MboxlistCommand: list the mailboxes from the spool alone.
const NoMboxlist = "-"

const (
	defaultConfig      = "/etc/imapd.conf"
	defaultLockTimeout = 10 * time.Second
	defaultMaxPins     = 16384 // few rounds for a large folder
)

// Local is the spool of a Cyrus server on this host. The process runs as root or as the server's own user.
type Local struct {
	opts  LocalOptions
	conf  *cyrus.Config
	owner lock.Owner // of the server's files: what we make and run there is made and run as that user
	lists lists
	meta  metadata
	drive map[string]*drive // by partition

	unlocked bool // for a test that shows what the locks are for: none is taken, as if the mailbox were held from look to pins
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
		var limit unix.Rlimit // Go raises it to what is allowed when a program starts
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return nil, fmt.Errorf("limit of open files: %w", err)
		}
		// Half of them is for pins, of as many users as are backed up side by side.
		o.MaxPins = int(max(1, min(defaultMaxPins, limit.Cur/2/uint64(runtime.GOMAXPROCS(0)))))
	}
	conf, err := cyrus.LoadConfig(o.ConfigPath)
	if err != nil {
		return nil, err
	}
	if len(conf.Partitions()) == 0 {
		return nil, fmt.Errorf("%s: names no partition", o.ConfigPath)
	}
	l := &Local{opts: o, conf: conf}
	if o.DriveBytes > 0 {
		l.drive = map[string]*drive{}
		for _, partition := range conf.Partitions() {
			l.drive[partition] = newDrive(o.DriveBytes)
		}
	}
	l.lists.turn = make(chan struct{}, 1)
	l.meta.turn = make(chan struct{}, 1)
	l.lists.known = map[string]bool{}
	if l.owner, err = serverUser(conf); err != nil {
		return nil, fmt.Errorf("%s: %w", o.ConfigPath, err)
	}
	return l, nil
}

// serverUser is who owns the folder of the server's locks; where it never ran there is none yet. Where root owns it, the server
// writes there as a member of a group, and is who the configuration says: never root, whose locks it could not open. Root's is only
// what no server can run on, a copy that is root's as a whole.
func serverUser(conf *cyrus.Config) (lock.Owner, error) {
	owner, err := lock.OwnerOf(conf.Get("mboxname_lockpath"))
	dir := conf.Get("configdirectory")
	if errors.Is(err, fs.ErrNotExist) {
		owner, err = lock.OwnerOf(dir)
	}
	if err != nil || owner.UID != 0 {
		return owner, err
	}
	others := []string{dir, filepath.Join(dir, "mailboxes.db")}
	for _, partition := range conf.Partitions() {
		others = append(others, conf.Get("partition-"+partition))
	}
	if !slices.ContainsFunc(others, notRoots) {
		return owner, nil
	}
	u, err := user.Lookup(conf.CyrusUser())
	if err != nil {
		return owner, fmt.Errorf("cyrus_user: %w", err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uid == 0 {
		err = fmt.Errorf("cyrus_user %s is root", u.Username)
	}
	return lock.Owner{UID: uid, GID: gid}, errors.Join(uidErr, gidErr, err)
}

func notRoots(path string) bool {
	owner, err := lock.OwnerOf(path)
	return err == nil && owner.UID != 0
}

// Name is the server's name.
func (l *Local) Name() string { return l.conf.ServerName() }

// Close does nothing: between calls Local holds neither locks nor open files.
func (l *Local) Close() error { return nil }
