package fs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"backupfs/index"
)

// tree is what folders there are at a date.
type tree struct {
	run    index.Run
	dirs   map[int64]*dir // by the index's number; 0 is the date itself
	unique []link         // sorted by name
}

type treeKey struct {
	slot uint32
	run  int
}

// dir is a directory, with or without a folder's messages in it.
type dir struct {
	id       int64
	parent   *dir // nil: the date itself
	name     string
	folder   int64  // row of the folder, 0 if it is only on the way to others
	children []*dir // sorted by name
}

// link is an entry of .uniqueid.
type link struct {
	name, target string
	folder       int64
}

// tree returns a user's folders as of a run, from memory if somebody was there lately.
func (f *FS) tree(u *user, run int) (*tree, error) {
	key := treeKey{u.slot.num, run}
	if t, ok := f.trees.get(key); ok {
		return t, nil
	}
	r, err := u.run(run)
	if err != nil {
		return nil, err
	}
	folders, err := u.index.Folders(run)
	if err != nil {
		return nil, err
	}
	t, err := makeTree(r, folders, u.index.DirID)
	if err != nil {
		return nil, err
	}
	f.trees.put(key, t, int64(len(t.dirs)))
	return t, nil
}

// makeTree puts folders into a tree; number finds the directories that are only on the way to one.
func makeTree(run index.Run, folders []index.Folder, number func([]string) (int64, bool, error)) (*tree, error) {
	top := &dir{}
	t := &tree{run: run, dirs: map[int64]*dir{0: top}}
	byPath := map[string]*dir{}
	for _, folder := range folders {
		at := top
		for i, name := range folder.Path {
			path := strings.Join(folder.Path[:i+1], "/")
			d := byPath[path]
			if d == nil {
				id := folder.Dir
				if i < len(folder.Path)-1 {
					var ok bool
					var err error
					if id, ok, err = number(folder.Path[:i+1]); err != nil {
						return nil, err
					} else if !ok {
						return nil, fmt.Errorf("the index has no directory %s", path)
					}
				}
				d = &dir{id: id, parent: at, name: name}
				at.children = append(at.children, d)
				t.dirs[id], byPath[path] = d, d
			}
			at = d
		}
		at.folder = folder.ID
		t.unique = append(t.unique, link{folder.UniqueID, "../" + strings.Join(folder.Path, "/"), folder.ID})
	}
	for _, d := range t.dirs {
		slices.SortFunc(d.children, func(a, b *dir) int { return cmp.Compare(a.name, b.name) })
	}
	// Several names can lead to one folder: the first stands for it. An id that is no file name has no link.
	slices.SortStableFunc(t.unique, func(a, b link) int { return cmp.Compare(a.name, b.name) })
	t.unique = slices.CompactFunc(t.unique, func(a, b link) bool { return a.name == b.name })
	t.unique = slices.DeleteFunc(t.unique, func(l link) bool { return !fileName(l.name) })
	return t, nil
}

// fileName reports whether a directory can have an entry of that name.
func fileName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= maxName && !strings.ContainsAny(s, "/\x00")
}

// child returns the directory of that name, nil if there is none.
func (d *dir) child(name string) *dir {
	i, ok := slices.BinarySearchFunc(d.children, name, func(c *dir, name string) int { return cmp.Compare(c.name, name) })
	if !ok {
		return nil
	}
	return d.children[i]
}

// path is the directory's name below the date.
func (d *dir) path() string {
	if d.parent == nil || d.parent.parent == nil {
		return d.name
	}
	return d.parent.path() + "/" + d.name
}
