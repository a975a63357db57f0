package fs

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"syscall"

	"backupfs/history"
	"backupfs/index"
)

// listing is what one directory of a date, or of a view, holds. Files come first, by node id, which is their order in the archive: a
// program that walks the folder, or sorts by inode, reads the archive forward.
type listing struct {
	node node // the directory
	// parent is the inode of the directory above.
	parent uint64
	files  []file
	tars   []int64  // where the files stand in the tar, -1 if they are lost; nil where their node ids say it
	names  []string // what the names of files end with; the first is empty
	rest   []entry  // directories and links
	walk   walk
}

// file is a message or meta file.
type file struct {
	node  uint64
	size  int64
	mtime int64
	uid   uint32 // 0: a meta file
	name  int32  // in names: of a meta file, all of it; of a message that is gone, the date behind the UID
}

func (l *listing) len() int { return len(l.files) + len(l.rest) }

func (l *listing) at(i int) entry {
	if i >= len(l.files) {
		return l.rest[i-len(l.files)]
	}
	p := &l.files[i]
	name := l.names[p.name]
	if p.uid != 0 {
		name = messageName(p.uid) + name
	}
	return fileEntry(name, p.node, p.size, p.mtime)
}

// find returns the number of the file with a node id.
func (l *listing) find(id uint64) (i int, ok bool) {
	return slices.BinarySearchFunc(l.files, id, func(p file, id uint64) int { return cmp.Compare(p.node, id) })
}

// add adds a file.
func (l *listing) add(p file, tar int64) {
	l.files = append(l.files, p)
	if l.tars != nil {
		l.tars = append(l.tars, tar)
	}
}

// tar is where a file's bytes stand, -1 if they are lost; ok is false if only the index knows.
func (l *listing) tar(i int) (tar int64, ok bool) {
	if l.tars != nil {
		return l.tars[i], true
	}
	n, _ := decode(l.files[i].node)
	return n.id, n.kind == kindContent
}

// sort orders the files by node id.
func (l *listing) sort() {
	if l.tars != nil {
		sort.Sort(byNode{l})
		return
	}
	slices.SortFunc(l.files, func(a, b file) int { return cmp.Compare(a.node, b.node) })
}

type byNode struct{ *listing }

func (l byNode) Len() int           { return len(l.files) }
func (l byNode) Less(i, j int) bool { return l.files[i].node < l.files[j].node }
func (l byNode) Swap(i, j int) {
	l.files[i], l.files[j] = l.files[j], l.files[i]
	l.tars[i], l.tars[j] = l.tars[j], l.tars[i]
}

// listed finds a file in the listings that are in memory: l.files[i]. l is nil if it is in none.
func (f *FS) listed(id uint64) (l *listing, i int) { return lists(f.listings, id) }

func lists(kept *lru[uint64, *listing], id uint64) (l *listing, i int) {
	l, _ = kept.find(func(_ uint64, l *listing) (ok bool) {
		i, ok = l.find(id)
		return ok
	})
	return l, i
}

// listing returns what a directory of a date holds.
func (f *FS) listing(u *user, id uint64, n node) (*listing, error) {
	if l, ok := f.listings.get(id); ok {
		return l, nil
	}
	// Several programs that walk the same folder wait for one listing.
	made, err, _ := f.listers.Do(strconv.FormatUint(id, 16), func() (any, error) { return f.list(u, id, n) })
	if err != nil {
		return nil, err
	}
	return made.(*listing), nil
}

func (f *FS) list(u *user, id uint64, n node) (*listing, error) {
	t, err := f.tree(u, n)
	if err != nil {
		return nil, err
	}
	l := &listing{node: n, names: []string{""}, walk: newWalk()}
	if f.opts.Flags {
		l.tars = []int64{}
	}
	switch n.kind {
	case kindDir:
		err = f.listDir(u, t, l)
	case kindSpecial:
		err = f.listSpecial(u, t, l)
	default:
		err = errNotDir
	}
	if err != nil {
		return nil, err
	}
	l.sort()
	f.listings.put(id, l, int64(l.len()))
	return l, nil
}

func (f *FS) listDir(u *user, t *tree, l *listing) error {
	n := l.node
	d := t.dirs[n.id]
	if d == nil {
		return errStale
	}
	l.parent = f.above(u, t.run)
	if d.parent != nil {
		l.parent, _ = node{kind: kindDir, slot: n.slot, run: n.run, view: n.view, id: d.parent.id}.encode() // it led here
	}
	for _, c := range d.children {
		e, err := dirEntry(t, n.slot, c)
		if err != nil {
			return err
		}
		l.rest = append(l.rest, e)
	}
	if t.past != nil {
		return f.listPast(u, t, d, l)
	}
	if d.folder != 0 {
		if err := f.listFolder(u, d.folder, l); err != nil {
			return err
		}
	}
	if n.id == 0 {
		for _, name := range specialNames {
			e, err := specialEntry(t, n.slot, name)
			if err != nil {
				return err
			}
			l.rest = append(l.rest, e)
		}
	}
	return nil
}

// listFolder adds the messages and meta files of a folder at a date.
func (f *FS) listFolder(u *user, folder int64, l *listing) error {
	metas, err := u.index.Metas(folder, l.node.run)
	if err != nil {
		return err
	}
	since := f.sinceOf(metas)
	err = u.index.EachMessage(folder, l.node.run, func(m index.Message) error {
		if !f.shown(m) {
			return nil
		}
		return l.addMessage(m, since, 0)
	})
	if err != nil {
		return err
	}
	return l.addMetas(metas, metaName)
}

// addMessage adds a message's file; since is messageNode's, name is what stands behind its UID, in names.
func (l *listing) addMessage(m index.Message, since int, name int32) error {
	id, err := messageNode(l.node.slot, m, since)
	if err != nil {
		return fmt.Errorf("message %d: %w", m.UID, err)
	}
	l.add(file{node: id, size: m.Size, mtime: m.InternalDate, uid: m.UID, name: name}, m.Tar)
	return nil
}

// addLinks adds the links of a directory.
func (l *listing) addLinks(t *tree, in *dir) error {
	for link := range t.linksIn(in) {
		e, err := linkEntry(t, l.node.slot, link)
		if err != nil {
			return err
		}
		l.rest = append(l.rest, e)
	}
	return nil
}

func (f *FS) listSpecial(u *user, t *tree, l *listing) error {
	l.parent, _ = node{kind: kindDir, slot: l.node.slot, run: l.node.run}.encode()
	if l.node.id == specialMeta {
		metas, err := u.index.Metas(0, l.node.run)
		if err != nil {
			return err
		}
		return l.addMetas(metas, fileName)
	}
	return l.addLinks(t, nil)
}

func (l *listing) addMetas(metas []index.Meta, show func(string) bool) error {
	for _, m := range metas {
		if !show(m.Name) {
			continue
		}
		e, err := metaEntry(l.node.slot, m)
		if err != nil {
			return err
		}
		l.add(file{node: e.node, size: m.Size, mtime: m.Mtime, name: int32(len(l.names))}, m.Tar)
		l.names = append(l.names, m.Name)
	}
	return nil
}

// shown reports whether a message is in the tree: IMAP showed it, or it is asked for.
func (f *FS) shown(m index.Message) bool {
	return history.Kept(m) && (!m.Expunged || f.opts.Expunged)
}

// fits encodes a node, or says that it does not fit.
func fits(n node) (uint64, error) {
	id, ok := n.encode()
	if !ok {
		return 0, fmt.Errorf("%+v: %w", n, errNoFit)
	}
	return id, nil
}

// messageNode is a message's node id. Where the internal date is the one that is stored beside the bytes, the file is the same
// whatever folder and date it is seen in, and so is its inode, and what the kernel keeps of it. If since is not 0, it is another one for each
// state of the folder: the one that began with that run.
func messageNode(slot uint32, m index.Message, since int) (uint64, error) {
	if since > 0 {
		if id, ok := (node{kind: kindFlagged, slot: slot, run: since, id: m.ID}).encode(); ok {
			return id, nil
		}
	}
	if m.InternalDate == m.FileMtime && m.Tar >= 0 {
		if id, ok := (node{kind: kindContent, slot: slot, id: m.Tar}).encode(); ok {
			return id, nil
		}
	}
	return fits(node{kind: kindMessage, slot: slot, id: m.ID})
}

func fileEntry(name string, id uint64, size, mtime int64) entry {
	return entry{name: name, node: id, mode: syscall.S_IFREG, nlink: 1, size: size, mtime: mtime, ttl: forever}
}

func metaEntry(slot uint32, m index.Meta) (entry, error) {
	id, err := fits(node{kind: kindContent, slot: slot, id: m.Tar})
	return fileEntry(m.Name, id, m.Size, m.Mtime), err
}

// dirEntry is a directory of a date. Its mtime is that of the run: which of its messages is the newest would have to be
// asked of each folder that is only passed by.
func dirEntry(t *tree, slot uint32, d *dir) (entry, error) {
	id, err := fits(node{kind: kindDir, slot: slot, run: t.run.Run.Run, view: t.view, id: d.id})
	e := entry{name: d.name, node: id, mode: syscall.S_IFDIR, nlink: 2 + uint32(len(d.children)),
		mtime: t.run.Begun.Unix(), ttl: forever}
	if d.id == 0 {
		e.nlink = 1 // as in user.top
	}
	return e, err
}

// specialNames are the directories of a date that the index does not know; specials are their numbers.
var (
	specialNames = []string{".meta", ".uniqueid"}
	specials     = map[string]int64{".meta": specialMeta, ".uniqueid": specialUnique}
)

func specialEntry(t *tree, slot uint32, name string) (entry, error) {
	id, err := fits(node{kind: kindSpecial, slot: slot, run: t.run.Run.Run, id: specials[name]})
	return entry{name: name, node: id, mode: syscall.S_IFDIR, nlink: 2, mtime: t.run.Begun.Unix(), ttl: forever}, err
}

func linkEntry(t *tree, slot uint32, l link) (entry, error) {
	id, err := fits(node{kind: kindLink, slot: slot, run: t.run.Run.Run, view: t.view, id: l.id})
	return entry{name: l.name, node: id, mode: syscall.S_IFLNK, nlink: 1, size: int64(len(l.target)),
		mtime: t.run.Begun.Unix(), ttl: forever}, err
}
