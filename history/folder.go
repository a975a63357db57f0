package history

import (
	"cmp"
	"slices"
	"strings"

	"backupfs/cyrus"
	"backupfs/index"
)

// Folder is a folder over all runs up to one.
type Folder struct {
	ID       int64 // row
	UniqueID string
	// Names that it had, in the order in which they were given: those by which its user knew it, or, if there is none, those by which
	// the server kept it as deleted.
	Names []index.Name
}

// Folders makes folders of all names up to a run, in the order in which they appeared.
func Folders(names []index.Name) (folders []Folder) {
	nth := map[int64]int{}
	for _, n := range names {
		i, ok := nth[n.Folder]
		if !ok {
			i = len(folders)
			nth[n.Folder] = i
			folders = append(folders, Folder{ID: n.Folder, UniqueID: n.UniqueID})
		}
		folders[i].Names = append(folders[i].Names, n)
	}
	for i := range folders {
		if f := &folders[i]; slices.ContainsFunc(f.Names, alive) {
			f.Names = slices.DeleteFunc(f.Names, func(n index.Name) bool { return !alive(n) })
		}
	}
	return folders
}

// alive tells a name by which a user knows a folder from one by which the server keeps it as deleted.
func alive(n index.Name) bool { return n.Path[0] != cyrus.DeletedFolder }

// Last is the last run in which the folder was there.
func (f *Folder) Last() int {
	return slices.MaxFunc(f.Names, func(a, b index.Name) int { return cmp.Compare(a.Last, b.Last) }).Last
}

// Stands reports whether a user knows the folder in a run, and by which name.
func (f *Folder) Stands(run int) (name index.Name, ok bool) {
	name, ok = f.At(run)
	return name, ok && alive(name)
}

// Homes are the names that it had in the last run in which it was there, nearly always one.
func (f *Folder) Homes() (homes []index.Name) {
	last := f.Last()
	for _, n := range f.Names {
		if n.Last == last {
			homes = append(homes, n)
		}
	}
	return homes
}

// Former are the names that it had before its last, each as of the last run in which it had it.
func (f *Folder) Former() (former []index.Name) {
	last, latest := f.Last(), map[string]int{} // by archived name
	for _, n := range f.Names {
		latest[n.Archived] = max(latest[n.Archived], n.Last)
	}
	for _, n := range f.Names {
		if n.Last < last && n.Last == latest[n.Archived] {
			former = append(former, n)
		}
	}
	return former
}

// At returns the name that the folder had in a run, of several the first.
func (f *Folder) At(run int) (name index.Name, ok bool) {
	i := slices.IndexFunc(f.Names, func(n index.Name) bool { return n.First <= run && run <= n.Last })
	if i < 0 {
		return name, false
	}
	return f.Names[i], true
}

// path is the folder's path in a run's tree.
func (f *Folder) path(run int) string {
	n, _ := f.At(run)
	return strings.Join(n.Path, "/")
}
