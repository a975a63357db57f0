package index

import (
	"database/sql/driver"

	"backupfs/cyrus"
)

// Holder is a message, or a meta file, of a folder in the runs from First to Last.
type Holder struct {
	Folder      int64      // row; 0: the user's own file
	UID         uint32     // of a message
	Name        string     // of a meta file
	SHA1        cyrus.GUID // of what Lost returns; zero if unknown
	Tar         int64      // where its bytes stand
	First, Last int        // Last is open where it goes on: larger than any run
}

// Holders returns who has bytes in [from, to) of the tar stream. It reads the whole index: for the day on which
// something is damaged.
func (ix *Index) Holders(from, to int64) ([]Holder, error) {
	return ix.holders(`SELECT m.folder, m.uid, '', m.first, m.last, NULL, f.tar FROM messages m JOIN files f ON f.id = m.file
			WHERE f.tar < ?2 AND f.tar + max(f.size, 1) > ?1
		UNION ALL SELECT folder, 0, name, first, last, NULL, tar FROM metas WHERE tar < ?2 AND tar + max(size, 1) > ?1
		ORDER BY 1, 2, 3, 4`, from, to)
}

// Lost returns the messages whose bytes the archive does not have: those that were missing on the server, and those whose
// bytes were damaged before the index was made.
func (ix *Index) Lost() ([]Holder, error) {
	return ix.holders(`SELECT m.folder, m.uid, '', m.first, m.last, f.sha1, -1 FROM messages m JOIN files f ON f.id = m.file
		WHERE f.tar IS NULL ORDER BY 1, 2, 4`)
}

func (ix *Index) holders(query string, args ...driver.Value) (holders []Holder, err error) {
	err = ix.query(func(r *row) error {
		h := Holder{Folder: r.nat(0), UID: r.uid(1), Name: r.text(2), First: int(r.nat(3)), Last: int(r.nat(4)), Tar: r.int(6)}
		if !r.null(5) {
			copy(h.SHA1[:], r.blob(5))
		}
		holders = append(holders, h)
		return nil
	}, query, args...)
	return holders, err
}
