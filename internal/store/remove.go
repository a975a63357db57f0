package store

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"backupfs/internal/durable"
)

// removed begins the names of folders of users who are removed: no user's name is escaped to that.
const removed = ".removed-"

// Remove takes a user's folder away, whose lock the caller holds: first its name, in one step, and then what is in it. Behind a crash the
// user is there as he was, or he is gone, and what is left of the folder is for Sweep.
func (s *Store) Remove(u User) error {
	if s.foreign != nil {
		return fmt.Errorf("%s: it is a store of Cyrus::Backup: %w", s.Root, fs.ErrPermission)
	}
	sum := sha1.Sum([]byte(u.Name))
	aside := filepath.Join(filepath.Dir(u.Dir), removed+hex.EncodeToString(sum[:]))
	if err := os.RemoveAll(aside); err != nil { // of an earlier Remove, that no Sweep has seen
		return err
	}
	if err := durable.Rename(u.Dir, aside); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// Sweep takes away what is left of users whose removal was interrupted.
func (s *Store) Sweep() error {
	left, err := fs.Glob(os.DirFS(s.Root), "users/*/"+removed+"*")
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(s.Root, dir)))
	}
	return err
}
