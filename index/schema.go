package index

import (
	"fmt"
	"hash/crc32"
	"math"
	"strings"
)

// schemaVersion of the sqlite file; another one means: rebuild. It is drawn from the schema itself, so that nobody can change
// the one and forget the other; a change of what the same columns mean raises meaning.
var schemaVersion = int64(crc32.ChecksumIEEE([]byte(fmt.Sprint(meaning, schema))) >> 1) // user_version has 31 bits

const meaning = 1

// applicationID marks the sqlite file as ours: "bfix".
const applicationID = 0x62666978

// open is the last run of what is so still.
const open = int64(math.MaxInt32)

// tables in the order in which they may be emptied and compared, with the order of their rows.
var tables = []struct{ name, order string }{
	{"status", "one"},
	{"problems", "id"},
	{"messages", "folder, uid, first"},
	{"metas", "folder, name, first"},
	{"names", "archived, first"},
	{"dirs", "id"},
	{"folders", "id"},
	{"files", "id"},
	{"members", "tar, file"},
	{"runs", "run"},
}

// schema. Messages, metas, names and members are read in ranges of their key, so the key is the table. A file whose digest
// is unknown (version 9, missing on the server) has no sha1; one that is known only from an index has no tar: the
// server had none, if the message is noted as missing, or else it was damaged in the archive.
// Counters and backupfs columns of a folder are as of the last run. No column is declared as a date or a boolean: the driver
// would convert it.
const schema = `
CREATE TABLE status (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	archive TEXT NOT NULL, id INTEGER NOT NULL, end_file INTEGER NOT NULL, end_tar INTEGER NOT NULL
);
CREATE TABLE runs (
	run INTEGER PRIMARY KEY, format INTEGER NOT NULL, begun INTEGER NOT NULL, ended INTEGER NOT NULL, clock INTEGER,
	user TEXT NOT NULL, source TEXT NOT NULL, inferred INTEGER NOT NULL,
	start INTEGER NOT NULL, marker INTEGER NOT NULL, end_file INTEGER NOT NULL, end_tar INTEGER NOT NULL,
	folders INTEGER NOT NULL, messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
	new_messages INTEGER NOT NULL, new_bytes INTEGER NOT NULL,
	skipped TEXT NOT NULL, missing INTEGER NOT NULL, mismatched INTEGER NOT NULL, lost INTEGER NOT NULL,
	digest TEXT NOT NULL
);
CREATE TABLE members (
	tar INTEGER NOT NULL, file INTEGER NOT NULL, filesize INTEGER NOT NULL, tarsize INTEGER NOT NULL,
	first INTEGER NOT NULL, flags INTEGER NOT NULL,
	PRIMARY KEY (tar, file)
) WITHOUT ROWID;
CREATE TABLE files (
	id INTEGER PRIMARY KEY, sha1 BLOB UNIQUE, size INTEGER NOT NULL, mtime INTEGER NOT NULL, tar INTEGER UNIQUE
);
CREATE TABLE folders (
	id INTEGER PRIMARY KEY, uniqueid TEXT NOT NULL UNIQUE,
	messages INTEGER NOT NULL, bytes INTEGER NOT NULL,
	fingerprint TEXT NOT NULL, exceptions BLOB NOT NULL
);
CREATE TABLE dirs (
	id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (parent, name)
);
CREATE TABLE names (
	archived TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	dir INTEGER NOT NULL REFERENCES dirs, folder INTEGER NOT NULL REFERENCES folders,
	PRIMARY KEY (archived, first)
) WITHOUT ROWID;
CREATE TABLE metas (
	folder INTEGER NOT NULL, name TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	sha1 BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, tar INTEGER NOT NULL UNIQUE,
	PRIMARY KEY (folder, name, first)
) WITHOUT ROWID;
CREATE TABLE messages (
	folder INTEGER NOT NULL REFERENCES folders, uid INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
	id INTEGER NOT NULL UNIQUE, expunged INTEGER NOT NULL, missing INTEGER NOT NULL,
	file INTEGER NOT NULL REFERENCES files, internaldate INTEGER NOT NULL,
	PRIMARY KEY (folder, uid, first)
) WITHOUT ROWID;
CREATE TABLE problems (
	id INTEGER PRIMARY KEY, run INTEGER NOT NULL, entry TEXT NOT NULL, text TEXT NOT NULL
);
INSERT INTO status VALUES (1, '', 0, 0, 0);
`

// create makes the tables in an empty file, all at once.
func (d *db) create() error {
	return d.script(fmt.Sprintf("BEGIN IMMEDIATE; PRAGMA application_id = %d; PRAGMA user_version = %d; %s COMMIT",
		applicationID, schemaVersion, schema))
}

// clear empties all tables within the transaction of the caller, so that readers see the old rows until the new ones are there.
func (d *db) clear() error {
	for _, t := range tables {
		if _, err := d.exec("DELETE FROM " + t.name); err != nil {
			return err
		}
	}
	_, err := d.exec("INSERT INTO status VALUES (1, '', 0, 0, 0)")
	return err
}

// ident returns ErrNone unless the file is an index of this schema.
func (d *db) ident() error {
	var app, version int64
	get := func(to *int64) func(*row) { return func(r *row) { *to = r.int(0) } }
	if _, err := d.one(get(&app), "PRAGMA application_id"); err != nil {
		return err
	}
	if _, err := d.one(get(&version), "PRAGMA user_version"); err != nil {
		return err
	}
	switch {
	case app != applicationID:
		return fmt.Errorf("%s: %w: it is not an index", d.path, ErrNone)
	case version != schemaVersion:
		return fmt.Errorf("%s: %w: it has schema %d, not %d", d.path, ErrNone, version, schemaVersion)
	}
	return d.onlyTables()
}

// onlyTables returns ErrNone unless the file has the tables of the schema, to the letter, and nothing else: a view in the place of a table, or a
// trigger, would have whoever reads or writes the index do what somebody wrote there.
func (d *db) onlyTables() error {
	want := strings.Split(strings.TrimSpace(schema), ";\n")
	want = want[:len(want)-1] // a row, not a table
	err := d.query(func(r *row) error {
		if len(want) == 0 || r.text(0) != want[0] {
			return fmt.Errorf("%s: %w: it has other tables", d.path, ErrNone)
		}
		want = want[1:]
		return nil
	}, "SELECT coalesce(sql, type) FROM sqlite_schema WHERE type <> 'index' OR sql IS NOT NULL ORDER BY rowid")
	if err == nil && len(want) > 0 {
		err = fmt.Errorf("%s: %w: it lacks tables", d.path, ErrNone)
	}
	return err
}
