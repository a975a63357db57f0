// Package pagecache hands files to the kernel's page cache before it asks for them (FUSE_NOTIFY_STORE), many at a time. go-fuse hands over one at a
// time, and makes garbage each time. A build with the tag purego, or without cgo, makes a system call after the other from Go: slower.
package pagecache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Kernel is the kernel's side of a mount. It is safe for concurrent use.
type Kernel struct{ fd int }

// File is a file whose contents are a piece of a buffer.
type File struct {
	Node      uint64
	Off, Size uint32
}

// device is what a mount's descriptor is open on.
const device = "/dev/fuse"

// Open returns the kernel's side of this process's only mount, which the caller must close. There go-fuse has a descriptor that it does not tell;
// it is duplicated, so that it can be used until Close, whenever go-fuse closes its own.
func Open() (*Kernel, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := -1
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err != nil || target != device {
			continue
		}
		if found >= 0 {
			return nil, errors.New("there are several mounts in this process")
		}
		if found, err = strconv.Atoi(e.Name()); err != nil {
			return nil, err
		}
	}
	if found < 0 {
		return nil, errors.New("there is no mount in this process")
	}
	fd, err := unix.FcntlInt(uintptr(found), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", device, err)
	}
	return &Kernel{fd}, nil
}

// Close gives the descriptor back. No Store may be under way.
func (k *Kernel) Close() error { return unix.Close(k.fd) }

// Store hands files over whose contents are in data. It ends at the first that the kernel does not take: it does not know the file, or has
// forgotten it, or the mount has ended. It may wait until another request for the file is answered.
func (k *Kernel) Store(files []File, data []byte) error {
	for _, f := range files {
		if uint64(f.Off)+uint64(f.Size) > uint64(len(data)) {
			return fmt.Errorf("node %#x: %d bytes at %d of %d", f.Node, f.Size, f.Off, len(data))
		}
	}
	return store(k.fd, files, data)
}
