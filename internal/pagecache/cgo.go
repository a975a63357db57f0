//go:build cgo && !purego

package pagecache

/*
#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <sys/uio.h>

struct file {
	uint64_t node;
	uint32_t off, size;
};

// store returns 0 or an errno.
static int store(int fd, const struct file *files, size_t n, char *data)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_store_out store;
	} head = {{.error = FUSE_NOTIFY_STORE}};

	for (size_t i = 0; i < n; i++) {
		struct iovec message[] = {
			{&head, sizeof head},
			{data + files[i].off, files[i].size},
		};
		head.header.len = sizeof head + files[i].size;
		head.store.nodeid = files[i].node;
		head.store.size = files[i].size;
		while (writev(fd, message, 2) < 0)
			if (errno != EINTR)
				return errno;
	}
	return 0;
}
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// File is handed to C as it is.
var _ [unsafe.Sizeof(C.struct_file{})]byte = [unsafe.Sizeof(File{})]byte{}

func store(fd int, files []File, data []byte) error {
	errno := C.store(C.int(fd), (*C.struct_file)(unsafe.Pointer(unsafe.SliceData(files))), C.size_t(len(files)),
		(*C.char)(unsafe.Pointer(unsafe.SliceData(data))))
	if errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
