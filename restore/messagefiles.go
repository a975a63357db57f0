package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

// messageFiles writes message files into a folder of the server's, which owns them. One goroutine reads messages and checks them; others
// write them, many at a time, by names that the kernel looks up in one folder only: most of the work is the file system's. It must be closed.
type messageFiles struct {
	owner  lock.Owner
	dir    *os.File
	group  *errgroup.Group
	failed context.Context // ends with the first file that could not be written
	batch  *batch          // that is being filled; nil: there is none
	unused chan *batch
}

// batch is memory for the bytes of several messages.
type batch struct {
	bytes []byte
	files []messageFile
}

// messageFile is one that is to be written.
type messageFile struct {
	name string
	date time.Time
	guid cyrus.GUID
	body []byte
}

// writers write beside the one that reads. A file system makes files of one folder one after the other, so that more give nothing.
const writers = 2

// messageFiles opens a folder, which is made if it is not there.
func (s *Spool) messageFiles(dir string) (*messageFiles, error) {
	if err := lock.MakeFolder(dir, s.owner); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	w := &messageFiles{owner: s.owner, dir: d, unused: make(chan *batch, writers+1)}
	w.group, w.failed = errgroup.WithContext(context.Background())
	for range cap(w.unused) {
		w.unused <- new(batch)
	}
	return w, nil
}

// put has a message written. An error is about this message alone, unless it is ErrBroken: then one of those before could not be written.
func (w *messageFiles) put(name string, m *Message) error {
	if w.failed.Err() != nil {
		return fmt.Errorf("%w: %w", ErrBroken, w.wait())
	}
	size := int64(m.Record.Size)
	if size > bufferBytes {
		return w.write(&messageFile{name: name, date: m.Date(), guid: m.Record.GUID}, func(f *os.File) error { return m.copyTo(f) })
	}
	if w.batch != nil && int64(len(w.batch.bytes))+size > bufferBytes {
		w.hand()
	}
	if w.batch == nil {
		w.batch = <-w.unused
		if w.batch.bytes == nil {
			w.batch.bytes = make([]byte, 0, bufferBytes)
		}
	}
	b := w.batch
	start := len(b.bytes)
	body := b.bytes[start : start+int(size)]
	if err := m.read(body); err != nil {
		return err
	}
	b.bytes = b.bytes[:start+int(size)]
	b.files = append(b.files, messageFile{name, m.Date(), m.Record.GUID, body})
	return nil
}

// hand hands a batch to be written.
func (w *messageFiles) hand() {
	b := w.batch
	w.batch = nil
	w.group.Go(func() error {
		defer func() {
			b.bytes, b.files = b.bytes[:0], b.files[:0]
			w.unused <- b
		}()
		for i := range b.files {
			file := &b.files[i]
			err := w.write(file, func(f *os.File) error { _, err := f.Write(file.body); return err })
			if err != nil || w.failed.Err() != nil {
				return err
			}
		}
		return nil
	})
}

// wait returns when all that was put is written. Nothing is put behind it.
func (w *messageFiles) wait() error {
	if w.batch != nil {
		w.hand()
	}
	return w.group.Wait()
}

// write makes a new file, and leaves none behind that is not whole. One of the name that holds the message already is taken.
func (w *messageFiles) write(m *messageFile, body func(*os.File) error) (err error) {
	path := filepath.Join(w.dir.Name(), m.name)
	fd, err := w.create(m.name)
	if errors.Is(err, fs.ErrExist) {
		if guid, readErr := guidOf(path); readErr == nil && guid == m.guid {
			return nil
		}
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err = body(f); err == nil {
		err = f.Chown(w.owner.UID, w.owner.GID)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		date := unix.NsecToTimespec(m.date.UnixNano())
		err = unix.UtimesNanoAt(int(w.dir.Fd()), m.name, []unix.Timespec{date, date}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, err), w.remove(m.name))
	}
	return nil
}

func (w *messageFiles) create(name string) (int, error) {
	for {
		fd, err := unix.Openat(int(w.dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// free says that no file has a name.
func (w *messageFiles) free(name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(int(w.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		return nil
	case err == nil:
		err = unix.EEXIST
	}
	return &fs.PathError{Op: "rename", Path: filepath.Join(w.dir.Name(), name), Err: err}
}

// rename gives a file a name that no other has.
func (w *messageFiles) rename(from, to string) error {
	fd := int(w.dir.Fd())
	if err := unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE); err != nil {
		return &fs.PathError{Op: "rename", Path: filepath.Join(w.dir.Name(), to), Err: err}
	}
	return nil
}

func (w *messageFiles) remove(name string) error {
	if err := unix.Unlinkat(int(w.dir.Fd()), name, 0); err != nil {
		return &fs.PathError{Op: "remove", Path: filepath.Join(w.dir.Name(), name), Err: err}
	}
	return nil
}

// sweep removes files of those names that a process left which was killed. One that lives has a lock on the folder, until it closes it.
func (w *messageFiles) sweep(left func(name string) bool) error {
	fd := int(w.dir.Fd())
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		names, err := w.dir.Readdirnames(-1)
		for _, name := range names {
			if err == nil && left(name) {
				err = w.remove(name)
			}
		}
		if err != nil {
			return err
		}
	}
	_ = unix.Flock(fd, unix.LOCK_SH) // where there are no such locks, files of others stay
	return nil
}

func (w *messageFiles) close() error { return w.dir.Close() }
