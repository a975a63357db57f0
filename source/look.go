package source

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
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
	firstHeaderCRC    = 12      // cyrus.index: the first version that has HeaderFileCRC, and Exists
)

// look is a mailbox at one moment.
type look struct {
	snapshot Snapshot
	index    fileState
	pending  []int // places in the index of what is wanted and not pinned yet
	doubt    error // of NewSnapshot
}

// look looks again if the index is not right, or does not match the header, which it does unless the server stopped between writing
// the one and the other. What the second look finds counts, if its index is right.
func (f *fetch) look(ctx context.Context) error {
	lk, err := f.lookOnce(ctx, false)
	if err == nil && lk == nil {
		lk, err = f.lookOnce(ctx, true)
	}
	if err == nil {
		f.last = lk
	}
	return err
}

// lookOnce copies the meta files under the locks, and finds out what is wanted when they are released. Where the index changes too
// often for what is wanted to be pinned afterwards, the mailbox stays locked, and the first files are pinned at once. It returns nothing
// if the look is doubtful and not the final one.
func (f *fetch) lookOnce(ctx context.Context, final bool) (*look, error) {
	began := time.Now()
	f.reserve()
	mailbox, index, err := f.l.lock(ctx, f.paths)
	if err != nil {
		return nil, f.notLocked(ctx, began, err)
	}
	defer mailbox.Close() // nil is closed too
	c, err := f.copyMeta(ctx, index)
	_ = index.Close()
	if errors.Is(err, lock.ErrBusy) {
		return nil, f.busy(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.m.Name, err)
	}
	held := f.outdated >= maxOutdated
	if !held {
		_ = mailbox.Close()
	}
	lk, err := c.look(f.paths)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.m.Name, err)
	}
	switch {
	case lk.snapshot.Index.Options&optMailboxDeleted != 0:
		_ = mailbox.Close()
		return nil, errors.Join(fmt.Errorf("%s: %w", f.m.Name, ErrGone), f.l.forget(ctx, time.Now()))
	case !final && lk.doubt != nil:
		return nil, nil
	case errors.Is(lk.doubt, cyrus.ErrDamaged):
		return nil, fmt.Errorf("%s: %w", f.m.Name, lk.doubt)
	}
	if id := lk.snapshot.Header.UniqueID; f.m.UniqueID != "" && id != f.m.UniqueID {
		if id != f.otherID {
			_ = mailbox.Close() // a list takes long
			if err := f.l.sameListed(ctx, f.m, began); err != nil {
				return nil, err
			}
			f.otherID = id
			return f.lookOnce(ctx, final)
		}
		lk.snapshot.Problems = append(lk.snapshot.Problems, fmt.Errorf("%s says UniqueID %q, the server's list %q", f.paths.Header, id, f.m.UniqueID))
	}
	f.decide(lk)
	if held {
		_, err = f.open(lk)
	}
	return lk, err
}

// notLocked tells why the locks could not be had.
func (f *fetch) notLocked(ctx context.Context, began time.Time, err error) error {
	switch {
	case errors.Is(err, lock.ErrBusy):
		return f.busy(err)
	case errors.Is(err, fs.ErrNotExist):
		return f.l.gone(ctx, f.m, f.paths, began, err)
	}
	return fmt.Errorf("%s: %w", f.m.Name, err)
}

// busy hides lock.ErrBusy, which means the store's lock to those who ask for it.
func (f *fetch) busy(err error) error { return fmt.Errorf("%s: %w: %v", f.m.Name, ErrBusy, err) }

// lock takes the mailbox's and the index's read locks. Both end when the files are closed.
func (l *Local) lock(ctx context.Context, p cyrus.Paths) (mailbox, index *os.File, err error) {
	if l.unlocked {
		index, err = os.Open(p.Index)
		return nil, index, err
	}
	timeout, waited := l.patience(ctx)
	defer waited()
	deadline := time.Now().Add(timeout)
	for {
		if mailbox, err = lock.Open(p.Lock, l.owner); err != nil {
			return nil, nil, err
		}
		if err = lock.Read(ctx, mailbox, time.Until(deadline)); err == nil {
			index, err = lock.OpenRead(ctx, p.Index, min(indexPatience, time.Until(deadline)))
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
	if err := l.sameListed(ctx, m, began); err != nil {
		return err
	}
	return fmt.Errorf("%s: the server knows it, but %w", m.Name, cause)
}

// sameListed is ErrGone unless a list that is begun after a moment still has the mailbox, with its UniqueID if it tells any.
func (l *Local) sameListed(ctx context.Context, m Mailbox, after time.Time) error {
	ls, err := l.list(ctx, after)
	if err != nil {
		return err
	}
	for _, now := range ls.boxes[userOf(m.Name)] {
		if now.Mailbox.Name == m.Name && now.Partition == m.Partition && (now.UniqueID == m.UniqueID || now.UniqueID == "") {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", m.Name, ErrGone)
}

// metaCopy is the meta files' bytes, of one moment.
type metaCopy struct {
	files       []File // index, header, annotations
	index       fileState
	fingerprint string
}

// copyMeta reads the meta files into memory, and does nothing else: the caller holds the locks of mailbox and index.
func (f *fetch) copyMeta(ctx context.Context, index *os.File) (c metaCopy, err error) {
	now := time.Now()
	ix, ixStat, err := content(index, f.buf)
	if err != nil {
		return c, err
	}
	// It is replaced under the index's write lock only: no lock of its own.
	header, err := os.Open(f.paths.Header)
	if err != nil {
		return c, err
	}
	defer header.Close()
	hd, hdStat, err := content(header, nil)
	if err != nil {
		return c, err
	}
	c.files = []File{ix, hd}
	c.index = stateOf(ixStat, ix.Data)
	var anStat *unix.Stat_t
	annotations, err := lock.OpenRead(ctx, f.paths.Annotations, indexPatience)
	switch {
	case err == nil:
		defer annotations.Close()
		var an File
		if an, anStat, err = content(annotations, nil); err != nil {
			return c, err
		}
		c.files = append(c.files, an)
	case !errors.Is(err, fs.ErrNotExist):
		return c, err
	}
	c.fingerprint = fingerprint(now, ixStat, hdStat, anStat)
	return c, nil
}

// look parses a copy.
func (c metaCopy) look(p cyrus.Paths) (*look, error) {
	s, doubt, err := NewSnapshot(c.files, p.Index, p.Header)
	if err != nil {
		return nil, err
	}
	s.Fingerprint = c.fingerprint
	return &look{index: c.index, snapshot: *s, doubt: doubt}, nil
}

// NewSnapshot parses the meta files of one moment, index and header first; the names are for errors. doubt is why they should be looked
// at again: the index is wrong in itself, which is cyrus.ErrDamaged, or it does not match the header, which may stay so.
func NewSnapshot(files []File, index, header string) (s *Snapshot, doubt, err error) {
	ix, err := cyrus.ParseIndex(files[0].Data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", index, err)
	}
	hd, err := cyrus.ParseHeader(files[1].Data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", header, err)
	}
	s = &Snapshot{Files: files, Index: ix, Header: hd, Missing: map[uint32]error{}}
	var exists uint32
	var wrong []string
	for i := range ix.Records {
		r := &ix.Records[i]
		if !r.Expunged() {
			exists++
		}
		if !r.CRCOK {
			wrong = append(wrong, strconv.FormatUint(uint64(r.UID), 10))
		}
	}
	switch {
	case !ix.HeaderCRCOK:
		doubt = fmt.Errorf("%s: %w: the checksum of its header is wrong", index, cyrus.ErrDamaged)
	case ix.Version >= firstHeaderCRC && exists != ix.Exists:
		doubt = fmt.Errorf("%s: %w: says %d messages and has %d", index, cyrus.ErrDamaged, ix.Exists, exists)
	case ix.Version >= firstHeaderCRC && ix.HeaderFileCRC != crc32.ChecksumIEEE(files[1].Data):
		doubt = fmt.Errorf("%s: does not match %s", index, header)
	}
	if len(wrong) > 0 {
		s.Problems = []error{fmt.Errorf("%s: wrong checksums in the records of UIDs %s", index, strings.Join(wrong, ", "))}
	}
	return s, doubt, nil
}
