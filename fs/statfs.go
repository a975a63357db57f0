package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// StatFs shows what is used on the file system of the store, and that nothing is free: nobody can write here.
func (f *FS) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var st syscall.Statfs_t
	if err := syscall.Statfs(f.opts.Store.Root, &st); err != nil {
		return f.errno(err, rootID)
	}
	*out = fuse.StatfsOut{
		Blocks:  st.Blocks - st.Bfree,
		Files:   st.Files - st.Ffree,
		Bsize:   uint32(st.Bsize),
		Frsize:  uint32(st.Frsize),
		NameLen: maxName,
	}
	return fuse.OK
}
