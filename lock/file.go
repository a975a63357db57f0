package lock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// File makes (mode 0600) and write-locks path without waiting: the store's lock of one user. ErrBusy names the holder's pid,
// program and host if known: where the disk is full they are not written, or those of an earlier holder left. The file stays when the lock is released; what stands
// in it is for people only, and a file that a dead process left behind is no lock. release can be called more than once.
func File(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return releaser(f), nil
}

// Exclusive write-locks a file that exists, without waiting, and writes nothing into it: an archive, for who has the lock of File already. If somebody
// removes that one's file while it is held, the next process makes another one, and has its lock as well; this one keeps the two apart.
func Exclusive(path string) (release func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := try(f, unix.F_WRLCK); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return releaser(f), nil
}

func releaser(f *os.File) (release func() error) {
	return sync.OnceValue(func() error {
		// A child between fork and exec has the file open, too: closing it here would not end the lock.
		return errors.Join(try(f, unix.F_UNLCK), f.Close())
	})
}

// holder is what we write: "4711 backupd compact on imap1". What follows the program is a verb, or left out.
func holder() string {
	program := filepath.Base(os.Args[0])
	if len(os.Args) > 1 && isVerb(os.Args[1]) {
		program += " " + os.Args[1]
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%d %s on %s", os.Getpid(), program, host)
}

func isVerb(arg string) bool {
	return strings.Trim(arg, "abcdefghijklmnopqrstuvwxyz") == ""
}

// holderIn reads what a holder wrote, empty if it is nothing of the kind.
var holderIn = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9]{1,19})( [\w.-]+( [a-z]+)? on [\w.-]+)?$`)
})

func readHolder(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, maxHolder))
	m := holderIn().FindStringSubmatch(strings.TrimSpace(string(b)))
	switch {
	case m == nil:
		return ""
	case m[2] == "":
		return ", pid " + m[1]
	}
	return fmt.Sprintf(", pid %s (%s)", m[1], m[2][1:])
}

const maxHolder = 512

// hold locks f and writes into it who we are. ErrBusy, too, if f does not bear its name any more: who held the lock before has taken the folder away,
// and what bears the name now has another lock.
func hold(f *os.File) error {
	err := try(f, unix.F_WRLCK)
	if errors.Is(err, ErrBusy) {
		return fmt.Errorf("%s: %w%s", f.Name(), ErrBusy, readHolder(f))
	}
	if err != nil {
		return err
	}
	if same, err := BearsName(f); !same {
		return errors.Join(fmt.Errorf("%s: %w, which took it away", f.Name(), ErrBusy), err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(holder()), 0)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil // it is locked all the same, and who only reads the store needs no room
	}
	return err
}

// Held says whether somebody holds the lock of File. It takes none.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	fl := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &fl); err != nil {
		return false, fmt.Errorf("%s: lock: %w", path, err)
	}
	return fl.Type != unix.F_UNLCK, nil
}
