package source

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"backupfs/cyrus"
	"backupfs/lock"
)

const metadataFile = "cyrus.mailbox_annotations" // the name of a folder's METADATA

// metadata is the server's database of METADATA as it was read last. turn is held (a value is in it) by whoever reads or replaces the rest;
// he waits for no other lock than the database's.
type metadata struct {
	turn  chan struct{}
	state fileState
	all   *cyrus.Metadata
	wrong error // why it cannot be understood in this state

	failed time.Time // when it could not even be read
	why    error
}

// Metadata is the METADATA of all mailboxes as it is now. An error says that nobody knows it: cyrus.ErrDatabase, if that will stay so;
// ErrBusy. As long as the database does not change, that costs a look at it, and no lock.
//
// cyrus: imap/annotate.c annotate_dbname_mbentry
func (l *Local) Metadata(ctx context.Context) (*cyrus.Metadata, error) {
	asked := time.Now()
	select {
	case l.meta.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-l.meta.turn }()
	if l.meta.failed.After(asked) { // we waited while somebody else tried
		return nil, l.meta.why
	}
	all, err := l.readMetadata(ctx, l.conf.Get("annotation_db_path"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && (l.bySQL() || exists(l.database())): // it is made when the server starts, as that one is
		return new(cyrus.Metadata), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, lock.ErrBusy):
		err = fmt.Errorf("%w: %v", ErrBusy, err) // lock.ErrBusy is for the store's lock
	}
	if err != nil {
		l.meta.failed, l.meta.why = time.Now(), fmt.Errorf("METADATA of folders: %w", err)
		return nil, l.meta.why
	}
	return all, nil
}

// readMetadata reads the database if it is not in the state in which it was read. The caller has the turn.
func (l *Local) readMetadata(ctx context.Context, path string) (*cyrus.Metadata, error) {
	m := &l.meta
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, cyrus.ErrDatabase) // a folder of several files
	}
	same := false
	if err == nil {
		same, err = m.state.is(f)
	}
	_ = f.Close()
	switch {
	case err != nil:
		return nil, err
	case same:
		return m.all, m.wrong
	}
	timeout, waited := l.patience(ctx)
	f, err = lock.OpenRead(ctx, path, timeout)
	waited()
	if err != nil {
		return nil, err
	}
	file, stat, err := content(f, nil)
	_ = f.Close() // and with it the lock
	if err != nil {
		return nil, err
	}
	m.state = stateOf(stat, file.Data)
	if m.all, m.wrong = cyrus.ParseMetadata(file.Data); m.wrong != nil {
		m.wrong = fmt.Errorf("%s: %w", path, m.wrong)
	}
	return m.all, m.wrong
}

// metadataOf is the METADATA of a mailbox as the file that an archive has of it: with Err where it is not known, without a name where there
// is none. Its inode is what backupcyrusd makes up.
//
// cyrus: imap/backupcyrusd.c send_annot
func metadataOf(all *cyrus.Metadata, err error, m cyrus.Mailbox) File {
	if err != nil {
		return File{Name: metadataFile, Err: err}
	}
	data := cyrus.MarshalAnnotations(all.Of(m))
	if len(data) == 0 {
		return File{}
	}
	digest := sha1.Sum(data)
	return File{Name: metadataFile, Data: data, Inode: uint64(binary.NativeEndian.Uint16(digest[:])), SHA1: digest}
}

// add completes a snapshot with METADATA.
func (s *Snapshot) add(m File) {
	if m.Name != "" {
		s.Files = append(s.Files, m)
		s.Fingerprint = withMetadata(s.Fingerprint, m)
	}
}

// withMetadata makes METADATA a part of a fingerprint. What may be known the next time leaves no fingerprint; where it may not, the rest counts, and
// is another when METADATA can be read.
func withMetadata(fingerprint string, m File) string {
	switch {
	case fingerprint == "" || m.Name == "":
		return fingerprint
	case errors.Is(m.Err, cyrus.ErrDatabase):
		return fingerprint + "-unknown"
	case m.Err != nil:
		return ""
	}
	return fingerprint + "-" + hex.EncodeToString(m.SHA1[:8])
}
