package fs

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"backupfs/cyrus"
	"backupfs/index"
)

// tree is what folders there are at a date, or in a view of all dates up to it.
type tree struct {
	run   index.Run
	view  view
	dirs  map[int64]*dir // by number; 0 is the top
	links []link         // sorted by name
	past  *past          // nil at a date
}

type treeKey struct {
	slot uint32
	run  int
	view view
}

// dir is a directory, with or without a folder's messages in it.
type dir struct {
	id       int64 // of the index; in a view, how many were there before it
	parent   *dir  // nil: the top
	name     string
	folder   int64  // row of the folder, 0 if it is only on the way to others
	children []*dir // sorted by name
}

// link is an entry of .uniqueid, or of a directory of a view.
type link struct {
	name, target string
	id           int64
	in           *dir // nil: .uniqueid
}

// tree returns a user's folders as a directory's date or view has them, from memory if somebody was there lately.
func (f *FS) tree(u *user, n node) (*tree, error) {
	key := treeKey{u.slot.num, n.run, n.view}
	if t, ok := f.trees.get(key); ok {
		return t, nil
	}
	r, err := u.run(n.run)
	if err != nil {
		return nil, err
	}
	var t *tree
	if n.view == viewDate {
		err = u.index.Together(func() (err error) {
			t, err = f.dateTree(u, r)
			return err
		})
	} else {
		t, err = f.viewTree(u, r, n.view)
	}
	if err != nil {
		return nil, err
	}
	f.trees.put(key, t, t.cost())
	return t, nil
}

func newTree(r index.Run, v view) *tree {
	return &tree{run: r, view: v, dirs: map[int64]*dir{0: {}}}
}

// dateTree puts a date's folders into a tree.
func (f *FS) dateTree(u *user, r index.Run) (*tree, error) {
	folders, err := u.index.Folders(r.Run.Run)
	if err != nil {
		return nil, err
	}
	t := newTree(r, viewDate)
	g := grower{tree: t, made: map[entryIn]*dir{}}
	for _, folder := range folders {
		g.number = func(in *dir, depth int) (int64, error) {
			if depth == len(folder.Path) {
				return folder.Dir, nil
			}
			id, ok, err := u.index.DirIn(in.id, folder.Path[depth-1])
			if err == nil && !ok {
				err = fmt.Errorf("the index has no directory %s", strings.Join(folder.Path[:depth], "/"))
			}
			return id, err
		}
		path := f.names(folder.Path)
		d, err := g.dir(path)
		if err != nil {
			return nil, err
		}
		d.folder = folder.ID
		t.links = append(t.links, link{name: folder.UniqueID, target: "../" + strings.Join(path, "/"), id: folder.ID})
	}
	t.sort()
	// Several names can lead to one folder: the first stands for it. An id that is no file name has no link.
	t.links = slices.CompactFunc(t.links, func(a, b link) bool { return a.name == b.name })
	t.links = slices.DeleteFunc(t.links, func(l link) bool { return !fileName(l.name) })
	return t, nil
}

// names are those that the mount has for the directories of a path.
func (f *FS) names(path []string) []string {
	if f.opts.UTF8 {
		return cyrus.UTF8Path(path)
	}
	return path
}

// grower makes the directories of a tree.
type grower struct {
	tree   *tree
	made   map[entryIn]*dir
	number func(in *dir, depth int) (int64, error) // gives a directory its number, so far down the path
}

// entryIn is where a directory is.
type entryIn struct {
	in   *dir
	name string
}

// dir returns the directory of a path, and makes it and those on the way to it.
func (g *grower) dir(path []string) (*dir, error) {
	at := g.tree.dirs[0]
	for i, name := range path {
		d := g.made[entryIn{at, name}]
		if d == nil {
			id, err := g.number(at, i+1)
			if err != nil {
				return nil, err
			}
			d = &dir{id: id, parent: at, name: name}
			at.children = append(at.children, d)
			g.tree.dirs[id], g.made[entryIn{at, name}] = d, d
		}
		at = d
	}
	return at, nil
}

// sort puts all in the order in which it is found and listed.
func (t *tree) sort() {
	for _, d := range t.dirs {
		slices.SortFunc(d.children, func(a, b *dir) int { return cmp.Compare(a.name, b.name) })
	}
	slices.SortStableFunc(t.links, func(a, b link) int { return cmp.Compare(a.name, b.name) })
}

// linksIn yields the links of a directory, nil: of .uniqueid.
func (t *tree) linksIn(d *dir) iter.Seq[link] {
	return func(yield func(link) bool) {
		for _, l := range t.links {
			if l.in == d && !yield(l) {
				return
			}
		}
	}
}

// link returns a link by its number.
func (t *tree) link(id int64) (link, error) {
	i := slices.IndexFunc(t.links, func(l link) bool { return l.id == id })
	if i < 0 {
		return link{}, errStale
	}
	return t.links[i], nil
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

// after returns the directory that a walk comes to behind one: its first child, or the next one of it or of those above it; nil behind
// the last.
func (t *tree) after(id int64) *dir {
	d := t.dirs[id]
	if d == nil {
		return nil
	}
	if len(d.children) > 0 {
		return d.children[0]
	}
	for ; d.parent != nil; d = d.parent {
		i := slices.Index(d.parent.children, d)
		if i+1 < len(d.parent.children) {
			return d.parent.children[i+1]
		}
	}
	return nil
}

// path is the directory's name below the date.
func (d *dir) path() string {
	if d.parent == nil || d.parent.parent == nil {
		return d.name
	}
	return d.parent.path() + "/" + d.name
}
