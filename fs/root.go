package fs

import (
	"cmp"
	"slices"
	"sync"
	"syscall"
	"time"

	"backupfs/index"
	"backupfs/internal/store"
)

// root is the list of users, as it was when somebody last read the root from its start.
type root struct {
	mu    sync.Mutex // guards the fields; not held across I/O
	users []rootUser
	read  time.Time
}

type rootUser struct {
	inode uint64
	name  string
}

// rootUsers lists the users, sorted by inode, which is also their place in the listing: it stays the same whoever
// comes and goes. fresh asks for a new list.
func (f *FS) rootUsers(fresh bool) ([]rootUser, error) {
	f.root.mu.Lock()
	users, age := f.root.users, time.Since(f.root.read)
	f.root.mu.Unlock()
	if age < checkEvery || !fresh && users != nil {
		return users, nil
	}
	now := time.Now()
	all, err := f.opts.Store.Users()
	if err != nil {
		return nil, err
	}
	users = make([]rootUser, len(all))
	for i, u := range all {
		users[i] = rootUser{userInode(u.Name), u.Name}
	}
	slices.SortFunc(users, func(a, b rootUser) int { return cmp.Compare(a.inode, b.inode) })
	f.root.mu.Lock()
	defer f.root.mu.Unlock()
	f.root.users, f.root.read = users, now
	return users, nil
}

// rootEntry is the mount's top. Its mtime is now: to find out whether a user has come would be to list them all, and the
// kernel keeps a listing for as long as the mtime stands.
func (f *FS) rootEntry() entry {
	return entry{node: rootID, mode: syscall.S_IFDIR, nlink: 1, mtime: time.Now().Unix(), ctime: f.started.Unix(), ttl: soon}
}

// userEntry is a user's folder. Its nlink is 1, which says that nobody counted, as the root's.
func (f *FS) userEntry(s *slot) entry {
	id, _ := node{kind: kindUser, slot: s.num}.encode() // a slot fits
	sec, nsec := f.users.mtime(s)
	return entry{name: store.Escape(s.folder.Name), node: id, inode: userInode(s.folder.Name), mode: syscall.S_IFDIR,
		nlink: 1, mtime: sec, nsec: nsec, ttl: soon}
}

// userEntries lists a user's folder: what leads to the newest run, and the dates from the oldest on, so that those which come later stand
// behind. It is empty without a complete run.
func (f *FS) userEntries(u *user) []entry {
	list := u.newest()
	for i := range u.runs {
		e := u.date(i)
		list = append(list, e)
	}
	return list
}

// newest is what leads to the newest run: the views as of it, and the link.
func (u *user) newest() []entry {
	if len(u.runs) == 0 {
		return nil
	}
	r := u.runs[len(u.runs)-1]
	id, _ := node{kind: kindLink, slot: u.slot.num, run: r.Run.Run}.encode() // open left out what does not fit
	latest := entry{name: "latest", node: id, mode: syscall.S_IFLNK, nlink: 1, size: int64(len(r.Date)), mtime: r.Begun.Unix(), ttl: soon}
	return []entry{u.top(viewNames[viewAll], r, viewAll), u.top(viewNames[viewDeleted], r, viewDeleted), latest}
}

// date is a run's folder.
func (u *user) date(i int) entry { return u.top(u.runs[i].Date, u.runs[i], viewDate) }

// top is the top of a tree. Its nlink is 1 as well: how many folders are in it is not known here.
func (u *user) top(name string, r index.Run, v view) entry {
	id, _ := node{kind: kindDir, slot: u.slot.num, run: r.Run.Run, view: v}.encode()
	return entry{name: name, node: id, mode: syscall.S_IFDIR, nlink: 1, mtime: r.Begun.Unix(), ttl: soon}
}
