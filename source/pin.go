package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
)

const (
	// Files are opened for so long before the mailbox's lock is given back, whatever the disk needs for each. Who waits for
	// it meanwhile stalls its user.
	holdTime = 5 * time.Millisecond
	// After so many looks of which nothing could be pinned, because the index had changed by then, the mailbox stays locked
	// from the next look to its first pins.
	maxOutdated = 3
)

// fileState is by what a file is known to be the same still that the server changes in place. The header of a cyrus.index changes with every
// record, for the modseq; that of a database, or its size, with every transaction.
type fileState struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	head         [headLength]byte
}

const headLength = 160 // of the longest header: cyrus.index 20

func stateOf(st *unix.Stat_t, content []byte) fileState {
	s := fileState{dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
	copy(s.head[:], content)
	return s
}

// is reports whether an open file is in this state; if it is locked, it stays so.
func (s *fileState) is(f *os.File) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return false, fmt.Errorf("%s: stat: %w", f.Name(), err)
	}
	head := make([]byte, headLength)
	n, err := f.ReadAt(head, 0)
	if n < headLength && int64(n) != st.Size {
		return false, err
	}
	now := stateOf(&st, head[:n])
	return now.dev == s.dev && now.ino == s.ino && now.size == s.size && now.mtime == s.mtime && now.ctime == s.ctime && bytes.Equal(now.head[:], s.head[:]), nil
}

// pin opens the files of what is pending, as many as may be open. It takes the locks again and again, each time briefly.
// current is false if the index is no longer that of the look: what was pinned before stands.
func (f *fetch) pin(ctx context.Context) (current bool, err error) {
	for lk := f.last; len(lk.pending) > 0; {
		mailbox, index, err := f.l.lock(ctx, f.paths)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return false, nil // the next look says what that means
		case tooManyFiles(err) && len(f.pins) > 0:
			return true, nil
		case err != nil:
			return true, f.notLocked(ctx, time.Now(), err)
		}
		// The mailbox's lock keeps the files where they are: the index is locked only for the comparison.
		same, err := lk.index.is(index)
		_ = index.Close()
		full := false
		if same && err == nil {
			full, err = f.open(lk)
		}
		_ = mailbox.Close()
		if err != nil || full || !same {
			return same, err
		}
	}
	return true, nil
}

// open opens files of pending messages for a short time, one at least. full: no more can be open. The caller holds the
// lock of the mailbox, and the index is that of the look.
func (f *fetch) open(lk *look) (full bool, err error) {
	began := time.Now()
	for n := 0; len(lk.pending) > 0 && (n == 0 || time.Since(began) < holdTime); n++ {
		if len(f.pins) >= f.l.opts.MaxPins {
			return true, nil
		}
		rec := &lk.snapshot.Index.Records[lk.pending[0]]
		path, fd, err := openMessage(f.paths, rec)
		switch {
		case err == nil:
			f.pins = append(f.pins, pin{record: *rec, path: path, fd: fd, drive: f.l.drive[f.m.Partition]})
		case tooManyFiles(err):
			if len(f.pins) == 0 {
				return true, fmt.Errorf("%s: %w", f.m.Name, err)
			}
			return true, nil // as many as there may be: the others in the next round
		case !errors.Is(err, fs.ErrNotExist) || !rec.Expunged():
			lk.snapshot.Missing[rec.UID] = err
		}
		lk.pending = lk.pending[1:]
	}
	return len(f.pins) >= f.l.opts.MaxPins, nil
}

func tooManyFiles(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// openMessage opens a message file where the index says that it is, or else where it could be: between the archive partition
// and the other the server moves the file first.
func openMessage(p cyrus.Paths, rec *cyrus.Record) (path string, fd int, err error) {
	name := strconv.FormatUint(uint64(rec.UID), 10) + "."
	first, second := p.Data, p.Archive
	if rec.SystemFlags&cyrus.FlagArchived != 0 {
		first, second = second, first
	}
	path = filepath.Join(first, name)
	fd, err = openRaw(path)
	if errors.Is(err, fs.ErrNotExist) && second != first {
		other := filepath.Join(second, name)
		if fd, otherErr := openRaw(other); !errors.Is(otherErr, fs.ErrNotExist) {
			return other, fd, otherErr
		}
	}
	return path, fd, err
}

// openRaw opens without what os.Open adds to the one system call, since locks are held. What is no regular file is found out
// later, and must not block here.
func openRaw(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR:
		default:
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
