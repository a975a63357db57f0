package backup

import (
	"os"
	"strings"

	"backupfs/internal/store"
)

// asideMark stands behind the name of an archive that was repaired: then comes when.
const asideMark = ".damaged-"

// Aside are the damaged archives of a user that repairs have left beside the new ones.
type Aside struct {
	Files int
	Bytes int64
}

// Asides counts those of a user.
func Asides(u store.User) (a Aside, err error) {
	entries, err := os.ReadDir(u.Dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "backupdata-") || !strings.Contains(e.Name(), asideMark) {
			continue
		}
		if info, err := e.Info(); err == nil { // else somebody removes it just now
			a.Files++
			a.Bytes += info.Size()
		}
	}
	return a, err
}
