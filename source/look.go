package source

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

const (
	// While we wait for the index we hold the mailbox, and whoever wants to delete it waits for us and stalls its user: the
	// longest write of imapd to an index takes tens of milliseconds, what takes longer is not waited for in this position.
	indexPatience = 100 * time.Millisecond

	optMailboxDeleted = 1 << 31 // cyrus: imap/mailbox.h OPT_MAILBOX_DELETED
	firstHeaderCRC    = 12      // cyrus.index: the first version that has HeaderFileCRC
)

// look is one look at a mailbox under its locks.
type look struct {
	snapshot Snapshot
	pins     []pin // in the order of the index
	more     bool  // more was wanted than could be pinned
	matches  bool  // the index's checksum of cyrus.header is right
}

// release closes what is pinned.
func (lk *look) release() {
	for _, p := range lk.pins {
		_ = unix.Close(p.fd)
	}
	lk.pins = nil
}

// lookTwice looks again if the index and the header do not match, which they do unless the server stopped between writing
// the one and the other. What the second look finds counts.
func (l *Local) lookTwice(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool) (*look, error) {
	lk, err := l.look(ctx, m, want)
	if err != nil || lk.matches {
		return lk, err
	}
	lk.release()
	return l.look(ctx, m, want)
}

// look takes the locks, copies the meta files, pins what is wanted, and releases the locks.
func (l *Local) look(ctx context.Context, m Mailbox, want func(*cyrus.Index, *cyrus.Record) bool) (*look, error) {
	began := time.Now()
	p, err := l.conf.Paths(m.Mailbox)
	if err != nil {
		return nil, err
	}
	mailbox, index, err := l.lock(ctx, p)
	switch {
	case errors.Is(err, lock.ErrBusy):
		return nil, fmt.Errorf("%s: %w: %w", m.Name, ErrBusy, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, l.gone(ctx, m, p, began, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	defer mailbox.Close() // nil is closed too
	defer index.Close()

	lk := &look{snapshot: Snapshot{Missing: map[uint32]error{}}}
	err = lk.copyMeta(ctx, p, index)
	if errors.Is(err, lock.ErrBusy) {
		return nil, fmt.Errorf("%s: %w: %w", m.Name, ErrBusy, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	s := &lk.snapshot
	if s.Index.Options&optMailboxDeleted != 0 || m.UniqueID != "" && s.Header.UniqueID != m.UniqueID {
		return nil, fmt.Errorf("%s: %w", m.Name, ErrGone)
	}
	if err := lk.pin(p, l.opts.MaxPins, want); err != nil {
		lk.release()
		return nil, fmt.Errorf("%s: %w", m.Name, err)
	}
	return lk, nil
}

// lock takes the mailbox's and the index's read locks. Both end when the files are closed.
func (l *Local) lock(ctx context.Context, p cyrus.Paths) (mailbox, index *os.File, err error) {
	if l.unlocked {
		index, err = os.Open(p.Index)
		return nil, index, err
	}
	deadline := time.Now().Add(l.opts.LockTimeout)
	for {
		if mailbox, err = lock.Open(p.Lock, l.owner); err != nil {
			return nil, nil, err
		}
		if err = lock.Read(ctx, mailbox, time.Until(deadline)); err == nil {
			index, err = openLocked(ctx, p.Index, min(indexPatience, time.Until(deadline)))
		}
		if err == nil {
			return mailbox, index, nil
		}
		_ = mailbox.Close()
		if !errors.Is(err, lock.ErrBusy) || time.Now().After(deadline) {
			return nil, nil, err
		}
		if err := lock.Pause(ctx, min(indexPatience, time.Until(deadline))); err != nil {
			return nil, nil, err
		}
	}
}

// gone tells a mailbox that was deleted from one whose files are not where they should be: a partition that is not mounted
// must not look like deleted mail.
func (l *Local) gone(ctx context.Context, m Mailbox, p cyrus.Paths, began time.Time, cause error) error {
	if _, err := os.Stat(p.Header); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: has a %s, but %w", m.Name, headerFile, cause)
	}
	root, err := l.headerRoot(m.Partition)
	if err != nil {
		return err
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) == 0 {
		return fmt.Errorf("%s: partition %s is empty or cannot be read (is it mounted?): %w", m.Name, m.Partition, cause)
	}
	ls, err := l.list(ctx, began)
	if err != nil {
		return err
	}
	for _, now := range ls.boxes[userOf(m.Name)] {
		if now.Mailbox.Name == m.Name && now.Partition == m.Partition && (now.UniqueID == m.UniqueID || now.UniqueID == "") {
			return fmt.Errorf("%s: the server knows it, but %w", m.Name, cause)
		}
	}
	return fmt.Errorf("%s: %w", m.Name, ErrGone)
}

// copyMeta reads the meta files into memory. The caller holds the locks of mailbox and index.
func (lk *look) copyMeta(ctx context.Context, p cyrus.Paths, index *os.File) error {
	now := time.Now()
	s := &lk.snapshot
	ix, ixStat, err := content(index)
	if err != nil {
		return err
	}
	if s.Index, err = cyrus.ParseIndex(ix.Data); err != nil {
		return fmt.Errorf("%s: %w", p.Index, err)
	}
	// It is replaced under the index's write lock only: no lock of its own.
	header, err := os.Open(p.Header)
	if err != nil {
		return err
	}
	defer header.Close()
	hd, hdStat, err := content(header)
	if err != nil {
		return err
	}
	if s.Header, err = cyrus.ParseHeader(hd.Data); err != nil {
		return fmt.Errorf("%s: %w", p.Header, err)
	}
	s.Files = []File{ix, hd}
	lk.matches = s.Index.Version < firstHeaderCRC || s.Index.HeaderFileCRC == crc32.ChecksumIEEE(hd.Data)

	var anStat *unix.Stat_t
	annotations, err := openLocked(ctx, p.Annotations, indexPatience)
	switch {
	case err == nil:
		defer annotations.Close()
		var an File
		if an, anStat, err = content(annotations); err != nil {
			return err
		}
		s.Files = append(s.Files, an)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	s.Fingerprint = fingerprint(now, ixStat, hdStat, anStat)
	return nil
}

// pin opens the files of the wanted messages, limit at most. The caller holds the locks of mailbox and index.
func (lk *look) pin(p cyrus.Paths, limit int, want func(*cyrus.Index, *cyrus.Record) bool) error {
	ix := lk.snapshot.Index
	for i := range ix.Records {
		rec := &ix.Records[i]
		if rec.Unlinked() || !want(ix, rec) {
			continue
		}
		if len(lk.pins) >= limit {
			lk.more = true
			return nil
		}
		path, fd, err := openMessage(p, rec)
		switch {
		case err == nil:
			lk.pins = append(lk.pins, pin{record: *rec, path: path, fd: fd})
		case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
			if len(lk.pins) == 0 {
				return err
			}
			lk.more = true // as many as there may be: the others in the next round
			return nil
		case !errors.Is(err, fs.ErrNotExist) || !rec.Expunged():
			lk.snapshot.Missing[rec.UID] = err
		}
	}
	return nil
}

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
