// Package fusetest mounts a file system that a test serves itself.
package fusetest

import (
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"
)

// Mount mounts a file system until the test ends. Only other processes may read there, or this one could wait for itself: Go's epoll on a file of
// the mount keeps the world from being stopped.
func Mount(t *testing.T, f fuse.RawFileSystem, options *fuse.MountOptions) (dir string) {
	t.Helper()
	dir = t.TempDir()
	options.DirectMountStrict = true // an error is the kernel's own
	server, err := fuse.NewServer(f, dir, options)
	if err != nil {
		t.Fatal(err)
	}
	var served errgroup.Group
	served.Go(func() error {
		server.Serve()
		return nil
	})
	t.Cleanup(func() {
		err := syscall.Unmount(dir, 0)
		if err == nil {
			err = served.Wait()
		}
		if err != nil {
			t.Error(err)
		}
	})
	return dir
}
