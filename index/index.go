package index

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"backupfs/archive"
)

// ErrNone: there is no index, or not one of this schema, or it is damaged. Rebuild makes it. It is wrapped with the reason.
var ErrNone = errors.New("no usable index")

// Index is the sqlite cache of one archive. It is safe for concurrent use.
type Index struct {
	path   string
	opened os.FileInfo // of an index that is open for reading

	// mu guards db and what it reads; nobody else uses the connection meanwhile. db is nil when closed.
	mu sync.Mutex
	db *db
}

// OpenRead opens an index without writing to its folder (no WAL, no journal). Where the file system refuses locks, it is
// opened as immutable. ErrNone if there is no usable index.
func OpenRead(path string) (*Index, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	d, err := openIdent(path, url.Values{"mode": {"ro"}, "_query_only": {"1"}})
	if lockRefused(err) {
		d, err = openIdent(path, withoutLocks())
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return &Index{path: path, opened: info, db: d}, nil
}

func withoutLocks() url.Values { return url.Values{"mode": {"ro"}, "immutable": {"1"}} }

// lockRefused tells a file system without locks from a disk that fails to be read.
func lockRefused(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.ExtendedCode {
	case sqlite3.ErrIoErrLock, sqlite3.ErrIoErrRDlock, sqlite3.ErrIoErrUnlock, sqlite3.ErrIoErrCheckReservedLock:
		return true
	}
	return e.Code == sqlite3.ErrProtocol
}

// OpenWrite opens or makes (mode 0600) an index for CatchUp. One of another schema or that is damaged is replaced. The caller
// holds the user's lock of the store.
func OpenWrite(path string) (*Index, error) {
	d, err := openWrite(path)
	if errors.Is(err, ErrNone) {
		d, err = replace(path)
	}
	if err != nil {
		return nil, err
	}
	return &Index{path: path, db: d}, nil
}

// openWrite opens an index that exists, and rolls back what a crash left undone.
func openWrite(path string) (*db, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNone, err)
	}
	return openIdent(path, writeParams())
}

// writeParams: a cache of 64 MiB keeps the keys of a million messages while they are filled in. Less than FULL is
// enough for a cache: after a power cut the file is whole, if perhaps behind.
func writeParams() url.Values {
	return url.Values{"mode": {"rw"}, "_journal_mode": {"DELETE"}, "_synchronous": {"NORMAL"}, "_cache_size": {"-65536"}, "_txlock": {"immediate"}}
}

// replace puts an empty index in the place of whatever there is.
func replace(path string) (*db, error) {
	if err := removeDB(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	d, err := openDB(path, writeParams())
	if err != nil {
		return nil, err
	}
	if err := d.create(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// nameless makes an empty index of this process alone: what sqlite's cache does not hold is in a file that it unlinks as soon as it has made it.
// of is the archive, for errors.
func nameless(of string) (*db, error) {
	d, err := connect(of+": temporary index", "file:", url.Values{"_journal_mode": {"MEMORY"}, "_synchronous": {"OFF"}, "_cache_size": {"-65536"}})
	if err != nil {
		return nil, err
	}
	if err := d.create(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func openIdent(path string, params url.Values) (*db, error) {
	d, err := openDB(path, params)
	if err != nil {
		return nil, err
	}
	if err := d.ident(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// Close releases the descriptor. What is asked afterwards gets os.ErrClosed.
func (ix *Index) Close() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil {
		return nil
	}
	d := ix.db
	ix.db = nil
	return d.close()
}

// query is db.query under the lock; f must not use the index.
func (ix *Index) query(f func(r *row) error, text string, args ...driver.Value) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return ix.askLocked(func() error { return ix.db.query(f, text, args...) })
}

// one is db.one under the lock.
func (ix *Index) one(f func(r *row), text string, args ...driver.Value) (ok bool, err error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	err = ix.askLocked(func() error {
		ok, err = ix.db.one(f, text, args...)
		return err
	})
	return ok, err
}

// askLocked asks again while somebody commits to an index that took the place of this one. Of the old file nobody writes any more, but
// sqlite takes the new one's journal, which has the same name, for its own, and wants to roll it back.
func (ix *Index) askLocked(ask func() error) error {
	if ix.db == nil {
		return fmt.Errorf("%s: %w", ix.path, os.ErrClosed)
	}
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := ask()
		var e sqlite3.Error
		if !errors.As(err, &e) || e.ExtendedCode != sqlite3.ErrReadonlyRollback || !ix.replaced() || time.Since(begun) > busyTimeout {
			return err
		}
	}
}

// replaced says that another file has the index's name.
func (ix *Index) replaced() bool {
	if ix.opened == nil {
		return false
	}
	now, err := os.Stat(ix.path)
	return err != nil || !os.SameFile(now, ix.opened)
}

// Status is what the index knows of its archive.
type Status struct {
	Archive string           // base name; empty in a new index
	End     archive.Position // behind the last run that the index holds
	ID      uint32           // of the archive's members; 0 as long as all are another tool's
	Runs    int
}

// Status returns what the index knows of its archive.
func (ix *Index) Status() (Status, error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil {
		return Status{}, fmt.Errorf("%s: %w", ix.path, os.ErrClosed)
	}
	return ix.db.status()
}

func (d *db) status() (s Status, err error) {
	ok, err := d.one(func(r *row) {
		s = Status{Archive: r.text(0), ID: uint32(r.int(1)), Runs: int(r.int(4)),
			End: archive.Position{File: r.nat(2), Tar: r.nat(3)}}
	}, "SELECT archive, id, end_file, end_tar, (SELECT count(*) FROM runs) FROM status")
	if err == nil && !ok {
		err = fmt.Errorf("%s: %w: it has no status", d.path, ErrNone)
	}
	return s, err
}
