package floor

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"
)

// load reads a tree of files and folders into memory.
func load(tree string) (*fileSystem, error) {
	f := &fileSystem{RawFileSystem: fuse.NewDefaultRawFileSystem(), nodes: []*node{nil}} // there is no node 0
	root := &node{path: tree}
	root.parent = root
	if err := f.add(root); err != nil {
		return nil, err
	}
	var files errgroup.Group
	files.SetLimit(16) // a disk answers some at once faster than one by one
	for id := uint64(fuse.FUSE_ROOT_ID); id < uint64(len(f.nodes)); id++ {
		n := f.nodes[id]
		switch n.out.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			if err := f.list(n); err != nil {
				return nil, err
			}
		case syscall.S_IFREG:
			files.Go(n.read)
		default:
			return nil, fmt.Errorf("%s is neither a file nor a folder", n.path)
		}
	}
	return f, files.Wait()
}

// add gives a node its id and its attributes.
func (f *fileSystem) add(n *node) error {
	var st syscall.Stat_t
	if err := syscall.Lstat(n.path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: n.path, Err: err}
	}
	n.out = fuse.EntryOut{NodeId: uint64(len(f.nodes)), Generation: 1, EntryValid: forever, AttrValid: forever}
	n.out.FromStat(&st)
	n.out.Ino = n.out.NodeId
	f.nodes = append(f.nodes, n)
	return nil
}

// list adds what a folder has, and makes its listing.
func (f *fileSystem) list(dir *node) error {
	entries, err := os.ReadDir(dir.path)
	if err != nil {
		return err
	}
	dir.byName = make(map[string]*node, len(entries))
	dir.enter(".", dir, fuse.EntryOut{})
	dir.enter("..", dir.parent, fuse.EntryOut{}) // the kernel takes no attributes from these two
	var size uint64                              // of its files so far
	for _, e := range entries {
		n := &node{path: filepath.Join(dir.path, e.Name()), parent: dir}
		if err := f.add(n); err != nil {
			return err
		}
		if n.out.Mode&syscall.S_IFMT == syscall.S_IFREG {
			if dir.first == 0 && n.out.Size > 0 {
				dir.first = n.out.NodeId
			}
			n.at = uint32(size)
			size += n.out.Size
		}
		dir.byName[e.Name()] = n
		dir.enter(e.Name(), n, n.out)
	}
	dir.end = uint64(len(f.nodes))
	if size > math.MaxUint32 {
		return fmt.Errorf("%s has more than 4 GiB", dir.path)
	}
	dir.contents = make([]byte, size)
	return nil
}

// enter puts an entry into a listing.
func (dir *node) enter(name string, n *node, out fuse.EntryOut) {
	dir.list = append(dir.list, listed{fuse.DirEntry{Name: name, Mode: n.out.Mode, Ino: n.out.NodeId, Off: uint64(len(dir.list) + 1)}, out})
}

// read reads a file's contents.
func (n *node) read() error {
	data, err := os.ReadFile(n.path)
	if err == nil && uint64(len(data)) != n.out.Size {
		err = fmt.Errorf("%s has %d bytes, not %d", n.path, len(data), n.out.Size)
	}
	if err != nil {
		return err
	}
	n.data = n.parent.contents[n.at:][:len(data)]
	copy(n.data, data)
	return nil
}
