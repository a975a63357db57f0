package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/internal/store"
)

// A listing is read without a handle: the offset of an entry says what comes behind it. 1 is behind ".", 2 behind "..", then
// they count the entries; in the root they are the inodes.

// ReadDir lists names.
func (f *FS) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	r := newRequest(cancel)
	defer r.close()
	err := f.readDir(r, in.NodeId, in.Offset, func(e entry, off uint64) bool {
		return out.AddDirEntry(fuse.DirEntry{Name: e.name, Mode: e.mode, Ino: e.ino(), Off: off})
	})
	return f.errno(err, in.NodeId)
}

// ReadDirPlus lists names and attributes, so that nothing has to be looked up.
func (f *FS) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	r := newRequest(cancel)
	defer r.close()
	err := f.readDir(r, in.NodeId, in.Offset, func(e entry, off uint64) bool {
		slot := out.AddDirLookupEntry(fuse.DirEntry{Name: e.name, Mode: e.mode, Ino: e.ino(), Off: off})
		if slot == nil {
			return false
		}
		if e.node != 0 {
			f.fill(e, slot)
		}
		return true
	})
	return f.errno(err, in.NodeId)
}

// readDir adds the entries behind an offset, until add has no room.
func (f *FS) readDir(ctx *request, id, off uint64, add func(e entry, off uint64) bool) error {
	n, ok := decode(id)
	if !ok {
		return errStale
	}
	if n.kind == kindRoot {
		return f.readTop(ctx, n, off, add)
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return err
	}
	defer f.users.release(u)
	var count int
	var at func(int) entry
	self, parent := id, uint64(0)
	if n.kind == kindUser {
		list := f.userEntries(u)
		count, at = len(list), func(i int) entry { return list[i] }
		self, parent = userInode(u.slot.folder.Name), rootID
	} else {
		l, err := f.listing(u, id, n)
		if err != nil {
			return err
		}
		count, at, parent = l.len(), l.at, l.parent
		if off == 0 {
			f.listAhead(u, n)
		}
	}
	if !addDots(self, parent, off, add) {
		return nil
	}
	for i := max(off, 2) - 2; i < uint64(count); i++ {
		if !add(at(int(i)), i+3) {
			return nil
		}
	}
	return nil
}

func (f *FS) readUsers(off uint64, add func(e entry, off uint64) bool) error {
	users, err := f.rootUsers(off < 2)
	if err != nil || !addDots(rootID, rootID, off, add) {
		return err
	}
	for _, u := range users {
		if u.inode <= off {
			continue
		}
		if !add(entry{name: store.Escape(u.name), inode: u.inode, mode: syscall.S_IFDIR}, u.inode) {
			return nil
		}
	}
	return nil
}

// addDots adds "." and "..", and reports whether there is room for more. The kernel takes no attributes from them.
func addDots(self, parent, off uint64, add func(e entry, off uint64) bool) bool {
	return (off > 0 || add(entry{name: ".", inode: self, mode: syscall.S_IFDIR}, 1)) &&
		(off > 1 || add(entry{name: "..", inode: parent, mode: syscall.S_IFDIR}, 2))
}
