package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/internal/store"
)

// Lookup finds a name in a directory.
func (f *FS) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	r := newRequest(cancel)
	defer r.close()
	e, err := f.lookup(r, header.NodeId, name)
	if err == errNoEntry && immutable(header.NodeId) {
		// That the name is not there is true for ever as well.
		*out = fuse.EntryOut{}
		out.SetEntryTimeout(forever)
		return fuse.OK
	}
	if err != nil {
		return f.errno(err, header.NodeId)
	}
	f.fill(e, out)
	return fuse.OK
}

func (f *FS) lookup(ctx *request, id uint64, name string) (entry, error) {
	n, ok := decode(id)
	if !ok {
		return entry{}, errStale
	}
	if len(name) > maxName {
		return entry{}, errLong
	}
	if n.kind == kindRoot {
		return f.lookupTop(ctx, n, name)
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return entry{}, err
	}
	defer f.users.release(u)
	switch n.kind {
	case kindUser:
		if i, ok := u.dates[name]; ok {
			return u.date(i), nil
		}
		for _, e := range u.newest() {
			if e.name == name {
				return e, nil
			}
		}
		return entry{}, errNoEntry
	case kindDir:
		return f.lookupDir(u, n, name)
	case kindSpecial:
		return f.lookupSpecial(u, n, name)
	}
	return entry{}, errNotDir
}

func (f *FS) lookupUser(name string) (entry, error) {
	plain, err := store.Unescape(name)
	if err != nil {
		return entry{}, errNoEntry
	}
	s, err := f.users.lookup(plain)
	if err != nil {
		return entry{}, err
	}
	return f.userEntry(s), nil
}

// lookupDir asks the index for one message; the listing is for those who read all.
func (f *FS) lookupDir(u *user, n node, name string) (entry, error) {
	t, err := f.tree(u, n)
	if err != nil {
		return entry{}, err
	}
	d := t.dirs[n.id]
	if d == nil {
		return entry{}, errStale
	}
	if t.past != nil {
		return f.lookupPast(u, t, d, n.slot, name)
	}
	if uid, ok := messageUID(name); ok && d.folder != 0 {
		var e entry
		err := u.index.Together(func() (err error) {
			e, err = f.lookupMessage(u, n, d.folder, uid)
			return err
		})
		if err != errNoEntry {
			e.name = name
			return e, err
		}
	}
	if d.folder != 0 && metaName(name) {
		if e, err := f.lookupMeta(u, n, d.folder, name); err != errNoEntry {
			return e, err
		}
	}
	if c := d.child(name); c != nil {
		return dirEntry(t, n.slot, c)
	}
	if n.id == 0 && specials[name] != 0 {
		return specialEntry(t, n.slot, name)
	}
	return entry{}, errNoEntry
}

// lookupMessage finds a message, and what it takes to read it, which is what most programs do next with one that they did not find in a
// listing.
func (f *FS) lookupMessage(u *user, n node, folder int64, uid uint32) (entry, error) {
	m, ok, err := u.index.Message(folder, n.run, uid)
	if err != nil {
		return entry{}, err
	}
	if !ok || !f.shown(m) {
		return entry{}, errNoEntry
	}
	since, err := f.since(u, folder, n.run)
	if err != nil {
		return entry{}, err
	}
	id, err := messageNode(n.slot, m, since)
	if err != nil {
		return entry{}, err
	}
	if m.Tar >= 0 { // of one that is lost, a later run may bring the bytes
		f.lastAsked.put(id, message{m, folder}, 1)
		_, _ = u.member(m.Tar) // who reads it is told what is wrong
	}
	return fileEntry("", id, m.Size, m.InternalDate), nil
}

func (f *FS) lookupSpecial(u *user, n node, name string) (entry, error) {
	if n.id == specialMeta {
		return f.lookupMeta(u, n, 0, name)
	}
	t, err := f.tree(u, n)
	if err != nil {
		return entry{}, err
	}
	return lookupLink(t, nil, n.slot, name)
}

func lookupLink(t *tree, in *dir, slot uint32, name string) (entry, error) {
	for l := range t.linksIn(in) {
		if l.name == name {
			return linkEntry(t, slot, l)
		}
	}
	return entry{}, errNoEntry
}

func (f *FS) lookupMeta(u *user, n node, folder int64, name string) (entry, error) {
	metas, err := u.index.Metas(folder, n.run)
	if err != nil {
		return entry{}, err
	}
	for _, m := range metas {
		if m.Name == name {
			return metaEntry(n.slot, m)
		}
	}
	return entry{}, errNoEntry
}
