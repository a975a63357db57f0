// Package floor is a FUSE file system with no work to do. It has a whole tree in memory, and hands the files of a folder to the
// kernel ahead of who reads them. It talks to the kernel as backupfs does, so no FUSE mount can do that work for less on the same machine;
// what backupfs takes beyond goes to reading, inflating and the index.
package floor

import (
	"errors"
	"math"
	"runtime/debug"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"

	"backupfs/internal/pagecache"
)

const (
	maxHanded = 128 << 10      // the largest file that is handed over, as in backupfs
	forever   = math.MaxUint32 // seconds
)

// fileSystem is a tree. Nothing of it changes once it is loaded, but how far its folders are read.
type fileSystem struct {
	fuse.RawFileSystem
	nodes  []*node // by node id; what stands in a folder follows one another, in the order of its listing
	kernel *pagecache.Kernel
	ahead  errgroup.Group
}

// node is a file or a folder.
type node struct {
	path   string
	parent *node
	out    fuse.EntryOut // what a lookup answers
	data   []byte        // of a file: a piece of its folder's contents
	at     uint32        // where it begins in that
	folder
}

// folder is what a node has that is one.
type folder struct {
	list     []listed // "." and ".." first
	byName   map[string]*node
	contents []byte        // of its files, one behind the other
	first    uint64        // file with contents: when it is asked for, the others are handed over
	end      uint64        // behind the last node
	passed   atomic.Uint64 // behind the file asked for last, since the first one was
}

// listed is an entry of a listing as the kernel gets it.
type listed struct {
	fuse.DirEntry
	out fuse.EntryOut
}

// Serve mounts what is in a folder, and returns when somebody has unmounted it.
func Serve(tree, point string) error {
	f, err := load(tree)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // all that there is stays, and little is added
	server, err := fuse.NewServer(f, point, options())
	if err != nil {
		return err
	}
	server.Serve()
	return f.close()
}

// close is for when the mount has ended.
func (f *fileSystem) close() error { return errors.Join(f.ahead.Wait(), f.kernel.Close()) }

// options are those of backupfs that the kernel's speed hangs on.
func options() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:                 "floor",
		FsName:               "floor",
		Options:              []string{"default_permissions", "ro"},
		DirectMountStrict:    true,
		DirectMountFlags:     syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY,
		IgnoreSecurityLabels: true,
		ExtraCapabilities:    fuse.CAP_NO_OPENDIR_SUPPORT | fuse.CAP_NO_EXPORT_SUPPORT,
		DisableSplice:        true,
		MaxBackground:        64,
	}
}

func (f *fileSystem) Init(*fuse.Server) {
	var err error
	if f.kernel, err = pagecache.Open(); err != nil {
		panic(err) // there is one mount in this process
	}
}

func (f *fileSystem) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	n := f.nodes[h.NodeId].byName[name]
	if n == nil {
		return fuse.ENOENT
	}
	*out = n.out
	return fuse.OK
}

func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n := f.nodes[in.NodeId]
	*out = fuse.AttrOut{AttrValid: n.out.AttrValid, Attr: n.out.Attr}
	return fuse.OK
}

// What is answered ENOSYS the kernel does by itself from then on: it opens files and folders, keeps their pages and listings, and closes them.

func (f *fileSystem) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.ENOSYS
}
func (f *fileSystem) OpenDir(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status {
	return fuse.ENOSYS
}
func (f *fileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	*out = fuse.StatfsOut{Files: uint64(len(f.nodes)), Bsize: 4096, Frsize: 4096, NameLen: 255}
	return fuse.OK
}

func (f *fileSystem) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	list := f.nodes[in.NodeId].list
	for i := in.Offset; i < uint64(len(list)); i++ {
		slot := out.AddDirLookupEntry(list[i].DirEntry)
		if slot == nil {
			break
		}
		*slot = list[i].out
	}
	return fuse.OK
}

func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, _ []byte) (fuse.ReadResult, fuse.Status) {
	n := f.nodes[in.NodeId]
	dir := n.parent
	switch {
	case in.NodeId == dir.first && dir.passed.CompareAndSwap(0, in.NodeId+1):
		f.ahead.Go(func() error {
			f.handOver(dir)
			return nil
		})
	case dir.passed.Load() > 0:
		dir.passed.Store(in.NodeId + 1)
	}
	size := uint64(len(n.data))
	from := min(in.Offset, size)
	return fuse.ReadResultData(n.data[from:min(from+uint64(in.Size), size)]), fuse.OK
}

// atOnce is how many files are handed over in one call, as many as a member of an archive holds.
const atOnce = 45

// handOver gives the kernel the files of a folder. Who reads them may overtake it.
func (f *fileSystem) handOver(dir *node) {
	batch := make([]pagecache.File, 0, atOnce)
	for id := dir.passed.Load(); id < dir.end; id = max(id, dir.passed.Load()) {
		for batch = batch[:0]; id < dir.end && len(batch) < atOnce; id++ {
			if n := f.nodes[id]; len(n.data) > 0 && len(n.data) <= maxHanded {
				batch = append(batch, pagecache.File{Node: id, Off: n.at, Size: uint32(len(n.data))})
			}
		}
		if f.kernel.Store(batch, dir.contents) != nil {
			return // it was not listed, or is forgotten, or the mount has ended
		}
	}
}
