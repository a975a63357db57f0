package index

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"backupfs/archive"
)

// Of reports whether the index was made of an archive, however little of that is left: it has its name and, as far as its first
// member tells, its id.
func (ix *Index) Of(a *archive.Archive) (bool, error) {
	s, err := ix.Status()
	if err != nil || s.Archive != filepath.Base(a.Path()) {
		return false, err
	}
	for m, err := range a.Members(archive.Position{}) {
		if err != nil && !errors.Is(err, archive.ErrDamaged) {
			return false, err
		}
		return err != nil || m.Foreign || m.ID == s.ID, nil
	}
	return true, nil
}

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
		stands, err := stands(a, m, "")
		if errors.Is(err, archive.ErrDamaged) {
			continue
		}
		if err != nil || !stands || i == 0 {
			return false, err
		}
		return inPlace(a, m.End(), archive.Position{File: size, Tar: s.End.Tar}, known[:i])
	}
	return false, nil
}

// inPlace reports whether the first member that can be read behind damage, if there is one, stands where it is known to. Bytes that were
// cut out or came in between move all that is behind them.
func inPlace(a *archive.Archive, from, end archive.Position, known []archive.Member) (bool, error) {
	behind := false // a member that was only entered may be the one that is damaged
	for s := a.Scan(from, end, archive.ScanOptions{Resync: true}); ; {
		e, err := s.Next()
		switch {
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, err
		case e.Kind == archive.EventDamage:
			behind = true
		case e.Kind == archive.EventMember && behind:
			return slices.Contains(known, e.Member), nil
		}
	}
}
