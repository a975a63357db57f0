package index

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"

	"backupfs/archive"
	"backupfs/cyrus"
)

// Check proves that an index equals a rebuild from its archive, row by row, and that its own rules hold. An index may be
// behind its archive, as a crash between the two commits leaves it; it is compared as far as it goes. Nothing is written that has
// a name. The rules, besides sqlite's own integrity and its references:
//
//   - Run numbers rise (with a gap where a marker was damaged, or runs were dropped), none begins before the one before it, each ends behind it, and
//     status stands at the end of the last.
//   - Members do not overlap, in the file nor in the tar stream, and end at or before the end of status.
//   - Of a (folder, uid), of a (folder, meta file) and of a name the lives do not overlap; a life ends not before it begins, and in a
//     run that there is, or is open.
//   - A name's directory is where its path (cyrus.TreePath) leads to.
//   - The bytes of each file and meta file end before the archive does, and no two begin at one place.
//   - A folder's counter is the number of its open messages that are not expunged.
func Check(ctx context.Context, archivePath, indexPath string) (err error) {
	ix, err := OpenRead(indexPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	if err := ix.db.checkRules(); err != nil {
		return err
	}
	d, err := nameless(archivePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.rebuildAs(ctx, archivePath, ix.db); err != nil {
		return err
	}
	for _, t := range tables {
		if err := sameRows(ix.db, d, t.name, t.order); err != nil {
			return err
		}
	}
	return nil
}

// rebuildAs fills d from an archive as far as other goes.
func (d *db) rebuildAs(ctx context.Context, archivePath string, other *db) (err error) {
	s, err := other.status()
	if err != nil {
		return err
	}
	a, err := archive.Open(archivePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if size, err := a.Size(); err != nil || size < s.End.File {
		return errors.Join(err, fmt.Errorf("%s: it goes to %d, and its archive to %d", other.path, s.End.File, size))
	}
	if err := d.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if _, err := d.begin(a); err != nil {
		return err
	}
	if err := d.scan(ctx, a, archive.Position{}, s.End, nil); err != nil {
		return err
	}
	return d.script("COMMIT")
}

// sameRows compares a table of two indexes.
func sameRows(is, want *db, table, order string) error {
	text := "SELECT * FROM " + table + " ORDER BY " + order
	next, stop := iter.Pull2(want.all(text))
	defer stop()
	n := 0
	for a, err := range is.all(text) {
		n++
		b, berr, _ := next()
		if err := errors.Join(err, berr); err != nil {
			return err
		}
		if !slices.EqualFunc(a, b, sameValue) {
			return fmt.Errorf("%s: row %d of %s is %s, and in a rebuild %s", is.path, n, table, printable(a), printable(b))
		}
	}
	if b, err, more := next(); more {
		return errors.Join(err, fmt.Errorf("%s: row %d of %s is missing, and in a rebuild %s", is.path, n+1, table, printable(b)))
	}
	return nil
}

// all yields the rows of a query, each valid until the next.
func (d *db) all(text string, args ...driver.Value) iter.Seq2[[]driver.Value, error] {
	return func(yield func([]driver.Value, error) bool) {
		stop := errors.New("stop")
		err := d.query(func(r *row) error {
			if !yield(r.values, nil) {
				return stop
			}
			return nil
		}, text, args...)
		if err != nil && !errors.Is(err, stop) {
			yield(nil, err)
		}
	}
}

func sameValue(a, b driver.Value) bool {
	x, isBlob := a.([]byte)
	y, ok := b.([]byte)
	if isBlob && ok {
		return bytes.Equal(x, y)
	}
	return !isBlob && !ok && a == b
}

func printable(row []driver.Value) string {
	if row == nil {
		return "missing"
	}
	s := make([]string, len(row))
	for i, v := range row {
		s[i] = fmt.Sprint(v)
		if b, ok := v.([]byte); ok {
			s[i] = fmt.Sprintf("%x", b)
		}
	}
	return fmt.Sprint(s)
}

// rules are queries that find no row; what they find is named by their first column.
var rules = []struct{ rule, text string }{
	{"runs have numbers", "SELECT run FROM runs WHERE run < 1"},
	{"runs follow each other", `SELECT b.run FROM runs a JOIN runs b ON b.run = (SELECT min(run) FROM runs WHERE run > a.run)
		WHERE b.begun < a.begun OR b.start < a.end_tar OR b.end_tar < a.end_tar OR b.end_file <= a.end_file`},
	{"status stands at the end of the last run", `SELECT end_file FROM status WHERE (end_file, end_tar) <>
		(SELECT coalesce(max(end_file), 0), coalesce(max(end_tar), 0) FROM runs)`},
	{"members do not overlap", `SELECT tar FROM (SELECT *, lag(tar + tarsize, 1, 0) OVER w AS prevtar, lag(file + filesize, 1, 0) OVER w AS prevfile
		FROM members WINDOW w AS (ORDER BY tar, file)) WHERE tar < prevtar OR file < prevfile`},
	{"members end with the runs", "SELECT tar FROM members, status WHERE tar + tarsize > end_tar OR file + filesize > end_file"},
	{"lives of messages", lives("messages", "folder, uid")},
	{"lives of meta files", lives("metas", "folder, name")},
	{"lives of names", lives("names", "archived")},
	{"bytes of files and meta files have a place of their own", `SELECT tar FROM (SELECT tar, size FROM files WHERE tar IS NOT NULL UNION ALL
		SELECT tar, size FROM metas) GROUP BY tar HAVING count(*) > 1`},
	{"bytes end before the archive does", `SELECT tar FROM (SELECT tar, size FROM files WHERE tar IS NOT NULL UNION ALL
		SELECT tar, size FROM metas), status WHERE tar < 512 OR tar + size > end_tar`},
	{"folders are counted", `SELECT id FROM folders f WHERE messages <>
		(SELECT count(*) FROM messages m WHERE m.folder = f.id AND last = ` + fmt.Sprint(open) + ` AND NOT expunged)`},
	{"references hold", "SELECT \"table\" FROM pragma_foreign_key_check"},
}

func lives(table, key string) string {
	return fmt.Sprintf(`SELECT first FROM (SELECT *, lag(last, 1, 0) OVER (PARTITION BY %s ORDER BY first) AS prev FROM %s)
		WHERE first <= prev OR last < first OR first NOT IN (SELECT run FROM runs)
			OR last >= (SELECT coalesce(max(run), 0) FROM runs) AND last <> %d`, key, table, open)
}

func (d *db) checkRules() error {
	var result string
	if _, err := d.one(func(r *row) { result = r.text(0) }, "PRAGMA integrity_check(1)"); err != nil {
		return err
	}
	if result != "ok" {
		return fmt.Errorf("%s: %w: %s", d.path, ErrNone, result)
	}
	for _, rule := range rules {
		var found driver.Value
		broken, err := d.one(func(r *row) { found = r.values[0] }, rule.text)
		if err != nil {
			return err
		}
		if broken {
			return fmt.Errorf("%s: rule broken: %s: %v", d.path, rule.rule, found)
		}
	}
	return d.checkDirs()
}

func (d *db) checkDirs() error {
	type name struct {
		archived string
		dir      int64
	}
	var names []name
	err := d.query(func(r *row) error {
		names = append(names, name{r.text(0), r.int(1)})
		return nil
	}, "SELECT archived, dir FROM names")
	if err != nil {
		return err
	}
	for _, n := range names {
		var dir int64
		for _, part := range cyrus.TreePath(n.archived) {
			if dir, _, err = d.dir(dir, part); err != nil {
				return err
			}
		}
		if dir != n.dir {
			return fmt.Errorf("%s: rule broken: a name's directory: %q has %d, its path leads to %d", d.path, n.archived, n.dir, dir)
		}
	}
	return nil
}
