package index

import (
	"slices"

	"backupfs/cyrus"
)

// Folder is a folder as of a run.
type Folder struct {
	ID       int64 // row of the folder, the same over all runs
	Dir      int64 // row of its path, the same over all runs
	UniqueID string
	Archived string
	Path     []string // in the tree
}

// Dir is one directory of any date's tree, folder or only on the way to one; ids are stable.
type Dir struct {
	ID, Parent int64 // Parent 0: the top of a date
	Name       string
}

// Folders returns the folders as of a run, in the order of their paths. A folder with two names is there twice.
func (ix *Index) Folders(run int) ([]Folder, error) {
	var folders []Folder
	err := ix.query(func(r *row) error {
		f := Folder{ID: r.nat(0), Dir: r.nat(1), UniqueID: r.text(2), Archived: r.text(3)}
		f.Path = cyrus.TreePath(f.Archived)
		folders = append(folders, f)
		return nil
	}, `SELECT f.id, n.dir, f.uniqueid, n.archived FROM names n JOIN folders f ON f.id = n.folder
		WHERE n.first <= ?1 AND n.last >= ?1`, int64(run))
	if err != nil {
		return nil, err
	}
	slices.SortFunc(folders, func(a, b Folder) int { return slices.Compare(a.Path, b.Path) })
	return folders, nil
}

// DirIn returns the directory of a name in another, 0 being the top, in any date; ok false if there never was one.
func (ix *Index) DirIn(parent int64, name string) (id int64, ok bool, err error) {
	ok, err = ix.one(func(r *row) { id = r.nat(0) }, "SELECT id FROM dirs WHERE parent = ? AND name = ?", parent, name)
	return id, ok, err
}

// Dir returns a directory by its row, ok false if there is none.
func (ix *Index) Dir(id int64) (d Dir, ok bool, err error) {
	ok, err = ix.one(func(r *row) { d = Dir{r.nat(0), r.nat(1), r.text(2)} },
		"SELECT id, parent, name FROM dirs WHERE id = ?", id)
	return d, ok, err
}
