package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"backupfs/archive"
)

// Fits reports whether the index is of an archive, and not only of one of its name: what it knows stands there, and what it lacks
// comes behind Status.End. Damage to the end of the archive makes it no other: the index then knows runs that a rebuild would not find.
func (ix *Index) Fits(a *archive.Archive) (bool, error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil {
		return false, fmt.Errorf("%s: %w", ix.path, os.ErrClosed)
	}
	s, err := ix.db.status()
	if err != nil {
		return false, err
	}
	fits, err := ix.db.continues(s, a)
	if err != nil || fits {
		return fits, err
	}
	return ix.db.damagedEnd(s, a)
}

// maxDamaged is how many members at the end may be damaged.
const maxDamaged = 100

// damagedEnd reports whether nothing but damage keeps an index from continuing an archive: the last members that it knows cannot be
// read, the one before them can, and no sound members stand in their place, as in an older copy that went another way.
func (d *db) damagedEnd(s Status, a *archive.Archive) (bool, error) {
	size, err := a.Size()
	if err != nil || size < s.End.File || s.Archive != filepath.Base(a.Path()) {
		return false, err
	}
	var known []archive.Member
	err = d.query(func(r *row) error {
		known = append(known, scanMember(r))
		return nil
	}, memberColumns+"ORDER BY tar DESC, file DESC LIMIT ?", int64(maxDamaged+1))
	if err != nil {
		return false, err
	}
	for i, m := range known {
		if stands, err := stands(a, m, ""); !errors.Is(err, archive.ErrDamaged) {
			return i > 0 && stands, err
		}
	}
	return false, nil
}
