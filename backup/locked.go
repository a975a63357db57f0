package backup

import (
	"errors"
	"io/fs"

	"backupfs/internal/store"
	"backupfs/lock"
)

// locked takes the locks of a user who is to be written: his own, and that of his archive, if he has one.
func locked(u store.User) (release func(), err error) {
	user, err := lock.File(u.Lock())
	if err != nil {
		return nil, err
	}
	path, err := u.Archive()
	if errors.Is(err, fs.ErrNotExist) {
		return func() { _ = user() }, nil // closing a file that only was a lock
	}
	archive := func() error { return nil }
	if err == nil {
		archive, err = lock.Exclusive(path)
	}
	if err != nil {
		return nil, errors.Join(err, user())
	}
	return func() {
		_ = archive()
		_ = user()
	}, nil
}
