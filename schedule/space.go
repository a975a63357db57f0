package schedule

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
)

// Space is how much there is for a store.
type Space struct {
	Store string `json:"store"`
	Size  uint64 `json:"size"`
	Free  uint64 `json:"free"`
	Error string `json:"error,omitempty"` // why that is not known
}

func spaceOf(root string) Space {
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return Space{Store: root, Error: fmt.Sprintf("%s: %v", root, err)}
	}
	return Space{Store: root, Size: fs.Blocks * uint64(fs.Bsize), Free: fs.Bavail * uint64(fs.Bsize)}
}

// trouble says what is wrong, empty if nothing is: less than a hundredth that is free is as good as nothing.
func (s Space) trouble() string {
	if s.Error == "" && s.Free < s.Size/100 {
		return "it is full: " + humanize.IBytes(s.Free) + " of " + humanize.IBytes(s.Size) + " are free"
	}
	return s.Error
}
