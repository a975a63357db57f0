package fs

import (
	"os"
	"path/filepath"
	"syscall"
)

// stamp tells whether a user's files changed.
type stamp struct{ archive, index fileStamp }

type fileStamp struct {
	inode uint64
	size  int64
	mtime int64 // Unix nanoseconds
}

// stampOf looks at the files of a slot. One that is missing, or cannot be looked at, has the zero stamp.
func stampOf(s *slot) stamp {
	return stamp{
		archive: stampFile(filepath.Join(s.folder.Dir, s.archive)),
		index:   stampFile(s.folder.Index()),
	}
}

func stampFile(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	st := fileStamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.inode = sys.Ino
	}
	return st
}
