package indextest

import (
	"context"
	"fmt"

	"backupfs/archive"
	"backupfs/index"
)

// Content is what a date shows under a name.
type Content struct {
	Tar   int64 // less than 0 where the index knows no place
	Bytes []byte
	Err   error
}

var errLost = fmt.Errorf("%w: the index knows no place", archive.ErrDamaged)

// Contents reads all that the dates of an archive show: what a date has of the user's own files by its name, and of a folder's as
// "2009-09-28 INBOX: message 1".
func Contents(ix *index.Index, a *archive.Archive) (map[string]Content, error) {
	cache := archive.NewCache(4 << 20)
	all := map[string]Content{}
	read := map[int64]Content{} // each place once
	note := func(name string, tar, size int64) {
		c, ok := read[tar]
		if !ok {
			c = Content{Tar: tar, Bytes: make([]byte, size), Err: errLost}
			if tar >= 0 {
				_, c.Err = cache.ReadAt(context.Background(), a, ix.Known(), c.Bytes, tar)
			}
			if tar >= 0 {
				read[tar] = c
			}
		}
		all[name] = c
	}
	runs, err := ix.Runs()
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		folders, err := ix.Folders(r.Run.Run)
		if err != nil {
			return nil, err
		}
		for _, f := range append(folders, index.Folder{}) {
			prefix := r.Date + " "
			if f.ID != 0 {
				prefix += f.Archived + ": "
			}
			metas, err := ix.Metas(f.ID, r.Run.Run)
			if err != nil {
				return nil, err
			}
			for _, m := range metas {
				note(prefix+m.Name, m.Tar, m.Size)
			}
			for m, err := range ix.Messages(f.ID, r.Run.Run) {
				if err != nil {
					return nil, err
				}
				note(fmt.Sprintf("%smessage %d", prefix, m.UID), m.Tar, m.Size)
			}
		}
	}
	return all, nil
}
