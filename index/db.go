package index

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"
)

// db is one sqlite connection with its prepared statements. The driver is used without database/sql: a mount has thousands of
// indexes open, each with one descriptor and no goroutine. Not safe for concurrent use.
type db struct {
	path  string
	conn  *sqlite3.SQLiteConn
	stmts map[string]*sqlite3.SQLiteStmt
}

// busyTimeout is how long a reader waits for a commit, and a commit for readers.
const busyTimeout = 10 * time.Second

func openDB(path string, params url.Values) (*db, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: abs}
	return connect(path, u.String(), params)
}

// connect opens what sqlite knows as name, of which path is for errors.
func connect(path, name string, params url.Values) (*db, error) {
	params.Set("_busy_timeout", strconv.FormatInt(busyTimeout.Milliseconds(), 10))
	params.Set("_mutex", "no") // Index.mu does it
	c, err := (&sqlite3.SQLiteDriver{}).Open(name + "?" + params.Encode())
	if err != nil {
		return nil, dbError(path, err)
	}
	return &db{path: path, conn: c.(*sqlite3.SQLiteConn), stmts: map[string]*sqlite3.SQLiteStmt{}}, nil
}

func (d *db) close() error {
	// Statements first: sqlite keeps the descriptor of a connection that still has some.
	for _, s := range d.stmts {
		s.Close()
	}
	d.stmts = nil
	return dbError(d.path, d.conn.Close())
}

// stmt prepares each text once: all texts are constants of this package.
func (d *db) stmt(text string) (*sqlite3.SQLiteStmt, error) {
	if s := d.stmts[text]; s != nil {
		return s, nil
	}
	s, err := d.conn.Prepare(text)
	if err != nil {
		return nil, dbError(d.path, err)
	}
	d.stmts[text] = s.(*sqlite3.SQLiteStmt)
	return d.stmts[text], nil
}

// exec runs a statement and returns the number of rows that it changed. Arguments are int64, string, []byte or nil.
func (d *db) exec(text string, args ...driver.Value) (int64, error) {
	s, err := d.stmt(text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), named(args))
	if err != nil {
		return 0, dbError(d.path, err)
	}
	return res.RowsAffected()
}

// script runs several statements without arguments.
func (d *db) script(text string) error {
	_, err := d.conn.ExecContext(context.Background(), text, nil)
	return dbError(d.path, err)
}

// query hands each row to f, valid during the call; an error of f ends it.
func (d *db) query(f func(r *row) error, text string, args ...driver.Value) (err error) {
	s, err := d.stmt(text)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(context.Background(), named(args))
	if err != nil {
		return dbError(d.path, err)
	}
	defer func() { err = errors.Join(err, dbError(d.path, rows.Close())) }()
	r := row{values: make([]driver.Value, len(rows.Columns()))}
	for {
		switch err := rows.Next(r.values); {
		case err == io.EOF:
			return nil
		case err != nil:
			return dbError(d.path, err)
		}
		switch err := f(&r); {
		case r.bad:
			return fmt.Errorf("%s: %w: a row is damaged", d.path, ErrNone)
		case err != nil:
			return err
		}
	}
}

// one asks for a single row; ok is false if there is none.
func (d *db) one(f func(r *row), text string, args ...driver.Value) (ok bool, err error) {
	err = d.query(func(r *row) error {
		if !ok {
			ok = true
			f(r)
		}
		return nil
	}, text, args...)
	return ok, err
}

// row is a row of a result. A value of another type than asked for is damage, which query reports.
type row struct {
	values []driver.Value
	bad    bool
}

func (r *row) null(i int) bool { return r.values[i] == nil }

func (r *row) int(i int) int64 { return value[int64](r, i) }

// nat is an offset, a size, a row or a run: none of an archive is negative, or so large that a sum of two overflows.
func (r *row) nat(i int) int64 {
	n := r.int(i)
	r.bad = r.bad || n < 0 || n > math.MaxInt64/2
	return n
}

// uid is one of a message.
func (r *row) uid(i int) uint32 {
	n := r.int(i)
	r.bad = r.bad || n < 0 || n > math.MaxUint32
	return uint32(n)
}

func (r *row) text(i int) string { return value[string](r, i) }
func (r *row) blob(i int) []byte { return value[[]byte](r, i) }

func value[T any](r *row, i int) T {
	v, ok := r.values[i].(T)
	r.bad = r.bad || !ok
	return v
}

func named(args []driver.Value) []driver.NamedValue {
	n := make([]driver.NamedValue, len(args))
	for i, a := range args {
		n[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return n
}

// unusable are sqlite's codes for a file that a rebuild mends: not sqlite, damaged, or left behind by a crash in a state that
// only a writer can roll back.
var unusable = map[sqlite3.ErrNo]bool{
	sqlite3.ErrNotADB: true, sqlite3.ErrCorrupt: true, sqlite3.ErrFormat: true, sqlite3.ErrReadonly: true,
}

// dbError adds the path, and ErrNone where a rebuild would help.
func dbError(path string, err error) error {
	var e sqlite3.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && unusable[e.Code]:
		return fmt.Errorf("%s: %w: %w", path, ErrNone, err)
	case errors.As(err, &e) && e.Code == sqlite3.ErrFull:
		return fmt.Errorf("%s: %w", path, unix.ENOSPC)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// removeDB removes an sqlite file. The journal goes last: one that is left without its file is discarded by sqlite, whereas a
// file without its journal may be half a transaction.
func removeDB(path string) error {
	for _, p := range []string{path, path + "-journal"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
