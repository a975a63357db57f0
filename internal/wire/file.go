package wire

import (
	"errors"
	"fmt"
	"strconv"
)

// Head is what is told of a file: in a STAT line, and in the DATA line before its bytes.
type Head struct {
	Name  string
	Size  int64
	Mtime int64 // Unix seconds
	Inode uint64
}

// String is the words of a line. A time before 1970 is written as the original does, by its 64 bits.
//
// cyrus: imap/backupcyrusd.c send_file
func (h Head) String() string {
	return fmt.Sprintf("%s %d %d %d", Encode(h.Name), h.Size, uint64(h.Mtime), h.Inode)
}

var errHead = errors.New("not name, size, time and inode of a file")

// ParseHead reads decoded words. The size is not negative.
func ParseHead(words []string) (Head, error) {
	if len(words) != 4 {
		return Head{}, errHead
	}
	size, err := strconv.ParseInt(words[1], 10, 64)
	mtime, err2 := strconv.ParseUint(words[2], 10, 64)
	inode, err3 := strconv.ParseUint(words[3], 10, 64)
	if errors.Join(err, err2, err3) != nil || size < 0 {
		return Head{}, errHead
	}
	return Head{words[0], size, int64(mtime), inode}, nil
}

// Done is the line behind a file's bytes, of which digest is the SHA-1.
func Done(name string, digest []byte) string {
	return fmt.Sprintf("DONE %s %x\n", Encode(name), digest)
}
