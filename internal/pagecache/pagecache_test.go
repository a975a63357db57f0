package pagecache

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/internal/fusetest"
)

// tree is a folder of files 0, 1 and so on, with the node ids firstNode and on. Whatever is asked for of them is wrong: that the kernel has what it was
// handed can be seen.
type tree struct {
	fuse.RawFileSystem
	sizes []int

	mu    sync.Mutex
	reads []uint64 // nodes that the kernel asked for
}

const firstNode = 1000

func (f *tree) entry(i int, out *fuse.EntryOut) {
	*out = fuse.EntryOut{NodeId: uint64(firstNode + i), EntryValid: 1000, AttrValid: 1000}
	out.Attr = fuse.Attr{Ino: out.NodeId, Size: uint64(f.sizes[i]), Mode: syscall.S_IFREG | 0o444, Nlink: 1}
}

func (f *tree) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.NodeId != fuse.FUSE_ROOT_ID {
		return fuse.EIO
	}
	out.Attr = fuse.Attr{Ino: 1, Mode: syscall.S_IFDIR | 0o555, Nlink: 2}
	return fuse.OK
}

func (f *tree) Lookup(_ <-chan struct{}, _ *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	var i int
	if _, err := fmt.Sscan(name, &i); err != nil || i < 0 || i >= len(f.sizes) {
		return fuse.ENOENT
	}
	f.entry(i, out)
	return fuse.OK
}

func (f *tree) Open(<-chan struct{}, *fuse.OpenIn, *fuse.OpenOut) fuse.Status { return fuse.ENOSYS }

func (f *tree) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, in.NodeId)
	return fuse.ReadResultData(bytes.Repeat([]byte{'!'}, len(buf))), fuse.OK
}

// mustMount mounts it, and has the kernel look at its files.
func mustMount(t *testing.T, f *tree) (dir string) {
	t.Helper()
	f.RawFileSystem = fuse.NewDefaultRawFileSystem()
	dir = fusetest.Mount(t, f, &fuse.MountOptions{Name: "pagecache"})
	for i := range f.sizes {
		if out, err := exec.Command("stat", filepath.Join(dir, fmt.Sprint(i))).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// TestStore: what the kernel takes it serves by itself, each file its own bytes, of any size; at the first that it does not know it stops.
func TestStore(t *testing.T) {
	if k, err := Open(); err == nil {
		t.Error("without a mount there is a kernel's side", k.Close())
	}
	f := &tree{sizes: []int{5000, 1, 4096, 130_000, 10}}
	dir := mustMount(t, f)
	k, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	data := []byte("what no file has")
	var files []File
	want := make([]string, len(f.sizes))
	for i, size := range f.sizes {
		files = append(files, File{Node: uint64(firstNode + i), Off: uint32(len(data)), Size: uint32(size)})
		want[i] = strings.Repeat(fmt.Sprint(i), size)
		data = append(data, want[i]...)
	}
	last := len(files) - 1
	strange := File{Node: 77, Size: 10}
	if err := k.Store([]File{strange, files[last]}, data); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("a file that it does not know: %v", err)
	}
	if err := k.Store([]File{{Node: firstNode + uint64(last), Off: uint32(len(data)) - 9, Size: 10}}, data); err == nil {
		t.Error("bytes behind the buffer's end are handed over")
	}
	if err := k.Store(nil, nil); err != nil {
		t.Error(err)
	}
	want[last] = strings.Repeat("!", f.sizes[last]) // of this it has to ask
	// The kernel may drop a page when it likes. So of several times one must be as it should be.
	var wrong error
	for range 10 {
		if err := k.Store(files[:last], data); err != nil {
			t.Fatal(err)
		}
		if wrong = f.serves(dir, want, firstNode+uint64(last)); wrong == nil {
			return
		}
	}
	t.Error(wrong)
}

// serves says what the kernel serves wrongly, or asked for but for one node.
func (f *tree) serves(dir string, want []string, but uint64) error {
	f.mu.Lock()
	f.reads = nil
	f.mu.Unlock()
	for i := range want {
		out, err := exec.Command("cat", filepath.Join(dir, fmt.Sprint(i))).Output()
		if err != nil || string(out) != want[i] {
			return fmt.Errorf("file %d: %v, %.20q of %d bytes", i, err, out, len(out))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, node := range f.reads {
		if node != but {
			return fmt.Errorf("it asked for nodes %v", f.reads)
		}
	}
	return nil
}

// TestSeveral: of several mounts in one process none is taken for another.
func TestSeveral(t *testing.T) {
	mustMount(t, &tree{})
	mustMount(t, &tree{})
	if k, err := Open(); err == nil {
		t.Error("one of two was taken", k.Close())
	}
}
