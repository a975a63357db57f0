//go:build !cgo || purego

package pagecache

import (
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func store(fd int, files []File, data []byte) error {
	var head struct {
		header fuse.OutHeader
		store  fuse.NotifyStoreOut
	}
	head.header.Status = -fuse.NOTIFY_STORE_CACHE
	for _, f := range files {
		head.header.Length = uint32(unsafe.Sizeof(head)) + f.Size
		head.store.Nodeid, head.store.Size = f.Node, f.Size
		message := [][]byte{unsafe.Slice((*byte)(unsafe.Pointer(&head)), unsafe.Sizeof(head)), data[f.Off:][:f.Size]}
		for {
			_, err := unix.Writev(fd, message)
			if err == nil {
				break
			}
			if err != unix.EINTR {
				return err
			}
		}
	}
	return nil
}
