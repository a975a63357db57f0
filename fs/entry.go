package fs

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// maxName is the longest name of an entry.
const maxName = 255

// entry is a file, folder or link as a listing or a lookup shows it.
type entry struct {
	name  string
	node  uint64 // 0 in the root's listing: the kernel looks users up one by one, when somebody goes there
	inode uint64 // 0: the node id
	mode  uint32 // type only
	nlink uint32
	size  int64
	mtime int64 // Unix seconds
	nsec  uint32
	ctime int64         // 0: mtime
	ttl   time.Duration // of the name
}

func (e entry) ino() uint64 {
	if e.inode != 0 {
		return e.inode
	}
	return e.node
}

// attr fills in what the kernel wants to know.
func (f *FS) attr(e entry, out *fuse.Attr) {
	perm := 0o666 &^ f.opts.Umask
	switch e.mode {
	case syscall.S_IFDIR:
		perm = 0o777 &^ f.opts.Umask
	case syscall.S_IFLNK:
		perm = 0o777 // nobody looks at a link's
	}
	ctime := e.ctime
	if ctime == 0 {
		ctime = e.mtime
	}
	*out = fuse.Attr{
		Ino:       e.ino(),
		Size:      uint64(e.size),
		Blocks:    uint64(e.size+511) / 512,
		Atime:     uint64(e.mtime),
		Mtime:     uint64(e.mtime),
		Ctime:     uint64(ctime),
		Mtimensec: e.nsec,
		Mode:      e.mode | perm,
		Nlink:     e.nlink,
		Owner:     fuse.Owner{Uid: f.opts.UID, Gid: f.opts.GID},
		Blksize:   4096,
	}
}

// attrTTL is how long the kernel may keep what it knows of a node.
func attrTTL(id uint64) time.Duration {
	if immutable(id) {
		return forever
	}
	return soon
}

// immutable reports whether a node never changes: all but the root and the users' folders.
func immutable(id uint64) bool {
	n, ok := decode(id)
	return ok && n.kind != kindRoot && n.kind != kindUser
}

// fill answers a lookup.
func (f *FS) fill(e entry, out *fuse.EntryOut) {
	*out = fuse.EntryOut{NodeId: e.node, Generation: f.generation}
	out.SetEntryTimeout(e.ttl)
	out.SetAttrTimeout(attrTTL(e.node))
	f.attr(e, &out.Attr)
}

// messageName is the name of a message's file, as in Cyrus's spool.
// cyrus: imap/mboxname.c mboxname_datapath
func messageName(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) + "." }

// messageUID is its inverse.
func messageUID(name string) (uid uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, ".")
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil
}

// metaName reports whether a folder's meta file is shown: what the server has as a file of its own, or would have.
func metaName(name string) bool {
	switch name {
	case "cyrus.index", "cyrus.header", "cyrus.annotations", "cyrus.mailbox_annotations":
		return true
	}
	return false
}
