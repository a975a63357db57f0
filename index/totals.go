package index

import "backupfs/cyrus"

// Total is what IMAP shows of a folder.
type Total struct {
	Messages int
	Bytes    int64 // as the server's index has their sizes
}

// Totals returns the totals of all folders as of the last run, by row; of those without a name too.
func (ix *Index) Totals() (map[int64]Total, error) {
	totals := make(map[int64]Total)
	err := ix.query(func(r *row) error {
		totals[r.int(0)] = Total{int(r.int(1)), r.int(2)}
		return nil
	}, "SELECT id, messages, bytes FROM folders")
	return totals, err
}

// FileSize returns the size of a message whose bytes the archive holds; ok false if it does not.
func (ix *Index) FileSize(g cyrus.GUID) (size int64, ok bool, err error) {
	ok, err = ix.one(func(r *row) { size = r.int(0) }, "SELECT size FROM files WHERE sha1 = ? AND tar IS NOT NULL", g[:])
	return size, ok, err
}
