package fs

import (
	"iter"
	"math"
	"slices"
	"strings"

	"backupfs/history"
	"backupfs/index"
)

// past is what a view knows of all runs up to the one as of which it is made (docs/design.md, "All dates at once").
type past struct {
	folders map[int64]*history.Folder // by row
	present history.Files             // what the run still has: of viewDeleted only
}

// viewNames are the names of views in a user's folder.
var viewNames = map[view]string{viewAll: "all", viewDeleted: "deleted"}

// name is the tree's name in a user's folder.
func (t *tree) name() string {
	if t.view == viewDate {
		return t.run.Date
	}
	return viewNames[t.view]
}

// cost is what a tree takes, in directories, of 200 bytes.
func (t *tree) cost() int64 {
	cost := len(t.dirs)
	if t.past != nil {
		cost += len(t.past.present) * history.PartSize / 200
	}
	return int64(cost)
}

// viewTree puts all folders that there were up to a run into a tree.
func (f *FS) viewTree(u *user, r index.Run, v view) (*tree, error) {
	names, err := u.index.Names(r.Run.Run)
	if err != nil {
		return nil, err
	}
	folders := history.Folders(names)
	t := newTree(r, v)
	t.past = &past{folders: map[int64]*history.Folder{}}
	if v == viewDeleted {
		if t.past.present, err = history.Present(u.index, folders, r.Run.Run, f.shown); err != nil {
			return nil, err
		}
	}
	g := grower{tree: t, made: map[entryIn]*dir{}, number: func(*dir, int) (int64, error) { return int64(len(t.dirs)), nil }}
	for i := range folders {
		folder := &folders[i]
		t.past.folders[folder.ID] = folder
		if v == viewDeleted && folder.Last() == r.Run.Run {
			if any, err := f.anyPast(u, t, folder); err != nil {
				return nil, err
			} else if !any {
				continue
			}
		}
		if err := f.addFolder(u, &g, folder); err != nil {
			return nil, err
		}
	}
	t.sort()
	return t, nil
}

// addFolder adds a folder's directory, and to a view of all the names that it had before, as links to it.
func (f *FS) addFolder(u *user, g *grower, folder *history.Folder) error {
	t := g.tree
	var home []string
	for _, n := range folder.Homes() {
		path, err := f.pathOf(u, t, n)
		if err != nil {
			return err
		}
		d, err := g.dir(path)
		if err != nil {
			return err
		}
		d.folder, home = folder.ID, path
	}
	if t.view != viewAll {
		return nil
	}
	for _, n := range folder.Former() {
		path, err := f.pathOf(u, t, n)
		if err != nil {
			return err
		}
		above := path[:len(path)-1]
		d, err := g.dir(above)
		if err != nil {
			return err
		}
		target := strings.Repeat("../", len(above)) + strings.Join(home, "/")
		t.links = append(t.links, link{name: path[len(above)], target: target, id: int64(len(t.links)), in: d})
	}
	return nil
}

// pathOf is the path of a folder's name in a view: a name that it does not have any more ends with the date of the run in which it had it last,
// and stands for itself where both are too long for one entry.
func (f *FS) pathOf(u *user, t *tree, n index.Name) ([]string, error) {
	path := f.names(n.Path)
	if n.Last == t.run.Run.Run {
		return path, nil
	}
	r, err := u.run(n.Last)
	if err != nil {
		return nil, err
	}
	path, until := slices.Clone(path), ".until-"+r.Date
	if last := &path[len(path)-1]; len(*last)+len(until) <= maxName {
		*last += until
		return path, nil
	}
	return append(path, until), nil
}

// messages yields the messages with UIDs from to to that a view shows of a folder.
func (f *FS) messages(u *user, t *tree, folder *history.Folder, from, to uint32) iter.Seq2[history.Message, error] {
	run, until := t.run.Run.Run, math.MaxInt
	if _, stands := folder.Stands(run); t.view == viewDeleted && stands {
		until = run // what goes on is present
	}
	all := folder.Messages(u.index.Lives(folder.ID, run, from, to, until), f.shown)
	if t.view == viewAll {
		return all
	}
	return func(yield func(history.Message, error) bool) {
		for m, err := range all {
			if (err != nil || m.Last != run && !t.past.present.Has(m.File)) && !yield(m, err) {
				return
			}
		}
	}
}

// anyPast reports whether a view shows any message of a folder.
func (f *FS) anyPast(u *user, t *tree, folder *history.Folder) (bool, error) {
	for _, err := range f.messages(u, t, folder, 0, math.MaxUint32) {
		return err == nil, err
	}
	return false, nil
}

// listPast adds what a directory of a view holds besides directories.
func (f *FS) listPast(u *user, t *tree, d *dir, l *listing) error {
	if err := l.addLinks(t, d); err != nil || d.folder == 0 {
		return err
	}
	type last struct {
		name  int32 // in l.names
		since int
	}
	runs := map[int]last{}
	for m, err := range f.messages(u, t, t.past.folders[d.folder], 0, math.MaxUint32) {
		if err != nil {
			return err
		}
		r, ok := runs[m.Last]
		if !ok {
			if r.since, err = f.since(u, d.folder, m.Last); err != nil {
				return err
			}
			if m.Last != t.run.Run.Run {
				date, err := u.run(m.Last)
				if err != nil {
					return err
				}
				r.name = int32(len(l.names))
				l.names = append(l.names, date.Date)
			}
			runs[m.Last] = r
		}
		if err := l.addMessage(m.Message, r.since, r.name); err != nil {
			return err
		}
	}
	return nil
}

// lookupPast finds a name in a directory of a view. Behind a message's UID stands the date when it stood there last, or nothing.
func (f *FS) lookupPast(u *user, t *tree, d *dir, slot uint32, name string) (entry, error) {
	if c := d.child(name); c != nil {
		return dirEntry(t, slot, c)
	}
	digits, date, dotted := strings.Cut(name, ".")
	last, ok := t.run.Run.Run, dotted && date == ""
	if i, dated := u.dates[date]; dated {
		last, ok = u.runs[i].Run.Run, u.runs[i].Run.Run != last
	}
	if uid, is := messageUID(digits + "."); is && ok && d.folder != 0 {
		for m, err := range f.messages(u, t, t.past.folders[d.folder], uid, uid) {
			if err != nil {
				return entry{}, err
			}
			if m.Last == last {
				since, err := f.since(u, d.folder, last)
				if err != nil {
					return entry{}, err
				}
				id, err := messageNode(slot, m.Message, since)
				return fileEntry(name, id, m.Size, m.InternalDate), err
			}
		}
	}
	return lookupLink(t, d, slot, name)
}
