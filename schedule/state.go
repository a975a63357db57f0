package schedule

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// state is the file that remembers what is known of each user (doc.go says what it is worth).
type state struct {
	db   *sql.DB
	path string
}

// In the first of the stores.
const (
	StateName = "schedule.sqlite3"
	LockName  = "schedule.lock" // locked by the one Scheduler that writes the state
)

// schemaVersion: a state of another one is made anew, like one that is damaged.
const schemaVersion = 6

const schema = `
CREATE TABLE users (
	name TEXT PRIMARY KEY, server TEXT NOT NULL, unit TEXT NOT NULL, listed INTEGER NOT NULL,
	seen INTEGER NOT NULL, last INTEGER NOT NULL, ended INTEGER NOT NULL,
	tries INTEGER NOT NULL, tried INTEGER NOT NULL, reason TEXT NOT NULL,
	scrubbed INTEGER NOT NULL, damage TEXT NOT NULL, gone INTEGER NOT NULL,
	aside INTEGER NOT NULL, aside_bytes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE days (date TEXT PRIMARY KEY, ok INTEGER NOT NULL, incomplete INTEGER NOT NULL, failed INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE settings (settings TEXT NOT NULL, alive INTEGER NOT NULL);
INSERT INTO settings VALUES ('', 0);
PRAGMA user_version = `

var errNoState = errors.New("no usable state")

// settings are what backupd status must know besides the users.
type settings struct {
	Plan     Plan               `json:"plan"`
	Retries  int                `json:"retries"`
	Scrub    Scrub              `json:"scrub"`
	Deleted  time.Duration      `json:"deleted"` // of Retention
	Stores   []string           `json:"stores"`
	Troubles map[string]Trouble `json:"troubles"`
}

// openState opens the state for writing. Where there is none that is usable, an empty one is made, and fresh says so. The caller holds
// the lock beside it.
func openState(path string) (s *state, fresh bool, err error) {
	if s, err = openDB(path, true); !errors.Is(err, errNoState) {
		return s, false, err
	}
	for _, suffix := range []string{"", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, false, err
	}
	db, err := sql.Open("sqlite3", dsn(path))
	if err != nil {
		return nil, false, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(schema + fmt.Sprint(schemaVersion)); err != nil {
		return nil, false, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return &state{db, path}, true, nil
}

// dsn: no WAL, which a store on a network's file system could not have, and no sync: what a power cut spoils is made anew. Where the
// file cannot be written it is only read.
func dsn(path string) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: url.Values{
		"mode": {"rw"}, "_journal_mode": {"DELETE"}, "_synchronous": {"OFF"}, "_busy_timeout": {"10000"},
	}.Encode()}).String()
}

// openDB opens a state, and with check reads all of it first. errNoState if it is missing, damaged or of another version.
func openDB(path string, check bool) (*state, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoState, err)
	}
	db, err := sql.Open("sqlite3", dsn(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var version int
	result := "ok"
	err = db.QueryRow("PRAGMA user_version").Scan(&version)
	if err == nil && check {
		err = db.QueryRow("PRAGMA quick_check(1)").Scan(&result)
	}
	switch {
	case err != nil:
	case result != "ok":
		err = errors.New(result)
	case version != schemaVersion:
		err = fmt.Errorf("it is of version %d, not %d", version, schemaVersion)
	default:
		return &state{db, path}, nil
	}
	return nil, errors.Join(fmt.Errorf("%s: %w: %w", path, errNoState, err), db.Close())
}

func (s *state) close() error { return s.db.Close() }

// millis is how times are kept: 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// load reads all users.
func (s *state) load() (rows []*row, err error) {
	found, err := s.db.Query("SELECT name, server, unit, listed, seen, last, ended, tries, tried, reason, scrubbed, damage, gone, aside, aside_bytes FROM users")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		r := new(row)
		var seen, last, ended, tried, scrubbed, gone int64
		if err := found.Scan(&r.Name, &r.Server, &r.Unit, &r.listed, &seen, &last, &ended, &r.tries, &tried, &r.reason, &scrubbed, &r.damage, &gone,
			&r.aside.Files, &r.aside.Bytes); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
		r.seen, r.last, r.ended, r.tried = fromMillis(seen), fromMillis(last), fromMillis(ended), fromMillis(tried)
		r.scrubbed, r.gone = fromMillis(scrubbed), fromMillis(gone)
		rows = append(rows, r)
	}
	return rows, found.Err()
}

// days reads what was counted.
func (s *state) days() (days map[string]*Day, err error) {
	found, err := s.db.Query("SELECT date, ok, incomplete, failed FROM days")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	defer func() { _ = found.Close() }()
	days = map[string]*Day{}
	for found.Next() {
		d := new(Day)
		if err := found.Scan(&d.Date, &d.OK, &d.Incomplete, &d.Failed); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
		days[d.Date] = d
	}
	return days, found.Err()
}

// settings reads what was kept by keep.
func (s *state) settings() (set settings, err error) {
	var text string
	if err = s.db.QueryRow("SELECT settings FROM settings").Scan(&text); err == nil {
		err = json.Unmarshal([]byte(text), &set)
	}
	if err != nil {
		err = fmt.Errorf("%s: settings: %w", s.path, err)
	}
	return set, err
}

// alive is when the state was stored last, by the clock of then; zero if it never was.
func (s *state) alive() (time.Time, error) {
	var ms int64
	if err := s.db.QueryRow("SELECT alive FROM settings").Scan(&ms); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", s.path, err)
	}
	return fromMillis(ms), nil
}

// keep keeps the settings.
func (s *state) keep(set settings) error {
	text, err := json.Marshal(set)
	if err == nil {
		_, err = s.db.Exec("UPDATE settings SET settings = ?", string(text))
	}
	return err
}

// store keeps users and days as they are now, all or none, and when that was. Users who are nil are forgotten, and days beyond the newest ones.
func (s *state) store(rows map[string]*row, days map[string]*Day, now time.Time) (err error) {
	tx, err := s.db.Begin()
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
			err = fmt.Errorf("%s: %w", s.path, err)
		}
	}()
	put, err := tx.PrepareContext(context.Background(), "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer func() { _ = put.Close() }()
	for name, r := range rows {
		if r == nil {
			_, err = tx.Exec("DELETE FROM users WHERE name = ?", name)
		} else {
			_, err = put.Exec(name, r.Server, r.Unit, r.listed, millis(r.seen), millis(r.last), millis(r.ended), r.tries, millis(r.tried), r.reason,
				millis(r.scrubbed), r.damage, millis(r.gone), r.aside.Files, r.aside.Bytes)
		}
		if err != nil {
			return err
		}
	}
	for _, d := range days {
		if _, err = tx.Exec("INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?)", d.Date, d.OK, d.Incomplete, d.Failed); err != nil {
			return err
		}
	}
	if _, err = tx.Exec("DELETE FROM days WHERE date <= (SELECT date FROM days ORDER BY date DESC LIMIT 1 OFFSET ?)", keptDays); err != nil {
		return err
	}
	if _, err = tx.Exec("UPDATE settings SET alive = ?", millis(now)); err != nil {
		return err
	}
	return tx.Commit()
}
