package source

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// content reads an open file whole, into buf if it is large enough. stat is of that state as long as the file is locked.
func content(f *os.File, buf []byte) (File, *unix.Stat_t, error) {
	st := new(unix.Stat_t)
	if err := unix.Fstat(int(f.Fd()), st); err != nil {
		return File{}, nil, fmt.Errorf("%s: stat: %w", f.Name(), err)
	}
	if int64(cap(buf)) < st.Size {
		buf = make([]byte, st.Size)
	}
	b := buf[:st.Size]
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return File{}, nil, fmt.Errorf("%s: %d bytes of %d: %w", f.Name(), n, len(b), err)
	}
	return File{Name: filepath.Base(f.Name()), Data: b, Mtime: int64(st.Mtim.Sec), Inode: st.Ino}, st, nil
}
