package index

import (
	"errors"
	"fmt"

	"backupfs/archive"
	"backupfs/cyrus"
)

// What an index knows of an archive that was damaged since: for who makes a new one of what is left.

// Stored is an entry with bytes in the archive.
type Stored struct {
	Entry  string // its name in the tar
	Folder int64  // row of the folder, 0 for messages and the user's own files
	File   string // name of a meta file
	SHA1   cyrus.GUID
	Tar    int64
	Size   int64
	Mtime  int64 // Unix seconds
}

// StoredIn returns what has bytes in [from, to) of the tar stream, in its order.
func (ix *Index) StoredIn(from, to int64) (stored []Stored, err error) {
	err = ix.query(func(r *row) error {
		s := Stored{Folder: r.nat(1), File: r.text(2), Tar: r.nat(4), Size: r.nat(5), Mtime: r.int(6)}
		copy(s.SHA1[:], r.blob(3))
		switch {
		case s.File == "":
			s.Entry = "files/" + s.SHA1.String()
		case s.Folder == 0:
			s.Entry = "meta/" + s.File
		default:
			s.Entry = folderEntry(r.text(0), s.File)
		}
		stored = append(stored, s)
		return nil
	}, `SELECT '', 0, '', sha1, tar, size, mtime FROM files WHERE tar < ?2 AND tar + max(size, 1) > ?1
		UNION ALL SELECT coalesce(f.uniqueid, ''), m.folder, m.name, m.sha1, m.tar, m.size, m.mtime FROM metas m LEFT JOIN folders f ON f.id = m.folder
			WHERE m.tar < ?2 AND m.tar + max(m.size, 1) > ?1
		ORDER BY 5`, from, to)
	return stored, err
}

// TarAt returns where in the tar the member stands that begins at a file offset, ok false if none is known to.
func (ix *Index) TarAt(file int64) (tar int64, ok bool, err error) {
	ok, err = ix.one(func(r *row) { tar = r.nat(0) }, "SELECT tar FROM members WHERE file = ?", file)
	return tar, ok, err
}

// MembersIn returns the members that begin in [from, to) of the tar stream.
func (ix *Index) MembersIn(from, to int64) (members []archive.Member, err error) {
	err = ix.query(func(r *row) error {
		members = append(members, scanMember(r))
		return nil
	}, memberColumns+"WHERE tar >= ? AND tar < ? ORDER BY tar", from, to)
	return members, err
}

// Changes returns the entries without bytes that make names and meta files what they are as of a run: links that came or went, files
// that are gone.
func (ix *Index) Changes(run int) (entries []archive.Entry, err error) {
	err = ix.query(func(r *row) error {
		entries = append(entries, archive.Entry{Name: "imap/" + r.text(0) + "/", Linkname: r.text(1), Type: archive.TypeLink})
		return nil
	}, `SELECT archived, '' FROM names n WHERE last = ?1 - 1 AND NOT EXISTS (SELECT 1 FROM names WHERE archived = n.archived AND first = ?1)
		UNION ALL SELECT n.archived, f.uniqueid FROM names n JOIN folders f ON f.id = n.folder WHERE n.first = ?1`, int64(run))
	if err != nil {
		return nil, err
	}
	err = ix.query(func(r *row) error {
		e := archive.Entry{Name: "meta/" + r.text(1), Type: archive.TypeFile}
		if !r.null(0) {
			e.Name = folderEntry(r.text(0), r.text(1))
		}
		entries = append(entries, e)
		return nil
	}, `SELECT f.uniqueid, m.name FROM metas m LEFT JOIN folders f ON f.id = m.folder WHERE m.last = ?1 - 1
		AND NOT EXISTS (SELECT 1 FROM metas WHERE folder = m.folder AND name = m.name AND first = ?1)`, int64(run))
	return entries, err
}

// Excused says of an entry that came in a run whether it may be missing, or another. A message's run is 0.
type Excused func(run int, entry string) bool

// shown are what an index shows, %s being its schema: the runs, the names of folders, their meta files but for cyrus.backupfs, the
// messages at each date, the bytes that there are.
var shown = []struct {
	what, text string
	entry      func(r *row) (run int, entry string) // that a row is about
}{
	{"runs", "SELECT run, begun, ended, clock, folders, messages, bytes FROM %[1]s.runs", nil},
	{"names", "SELECT archived, first, last, uniqueid FROM %[1]s.names JOIN %[1]s.folders f ON f.id = folder", nil},
	{"meta files", `SELECT first, coalesce(uniqueid, ''), name, last, sha1, size FROM %[1]s.metas m LEFT JOIN %[1]s.folders f ON f.id = folder
		WHERE name <> 'cyrus.backupfs'`, func(r *row) (int, string) {
		if r.text(1) == "" {
			return int(r.int(0)), "meta/" + r.text(2)
		}
		return int(r.int(0)), folderEntry(r.text(1), r.text(2))
	}},
	{"messages", `SELECT uniqueid, uid, first, last, expunged, missing, internaldate, sha1 FROM %[1]s.messages m
		JOIN %[1]s.folders f ON f.id = m.folder JOIN %[1]s.files b ON b.id = m.file`, nil},
	{"bytes", "SELECT sha1 FROM %[1]s.files WHERE tar IS NOT NULL", func(r *row) (int, string) { return 0, fmt.Sprintf("files/%x", r.blob(0)) }},
}

// SameMail reports, as an error, what now shows otherwise than was: in the runs, in the names of folders, in their meta files but for
// cyrus.backupfs, in the messages at each date. Of bytes now may have more.
func SameMail(was, now *Index, excused Excused) (err error) {
	was.mu.Lock()
	defer was.mu.Unlock()
	d := was.db
	if _, err := d.exec("ATTACH DATABASE ? AS now", now.path); err != nil { // the other way round was may have no name
		return err
	}
	defer func() { err = errors.Join(err, d.script("DETACH DATABASE now")) }()
	for _, s := range shown {
		for _, dir := range []struct{ in, lacks string }{{"main", "now"}, {"now", "main"}} {
			if s.what == "bytes" && dir.in == "now" {
				continue
			}
			err := d.query(func(r *row) error {
				if s.entry != nil && excused(s.entry(r)) {
					return nil
				}
				return fmt.Errorf("%s: of the %s it alone has %s", map[string]string{"main": d.path, "now": now.path}[dir.in], s.what, printable(r.values))
			}, fmt.Sprintf(s.text, dir.in)+" EXCEPT "+fmt.Sprintf(s.text, dir.lacks))
			if err != nil {
				return err
			}
		}
	}
	return nil
}
