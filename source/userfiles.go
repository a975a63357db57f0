package source

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"backupfs/cyrus"
	"backupfs/lock"
)

// userFiles in the order in which they are returned.
var userFiles = []string{"seen", "sub"}

// UserFiles reads each of the files under its own read lock.
func (l *Local) UserFiles(ctx context.Context, user string, known map[string]cyrus.GUID) ([]File, error) {
	paths, err := l.userPaths(ctx, user)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range userFiles {
		path := paths[name]
		if path == "" {
			continue
		}
		f, err := l.userFile(ctx, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			f = File{Err: err}
		}
		if digest, ok := known[name]; ok && err == nil && digest == f.SHA1 {
			f.Data = nil
		}
		f.Name = name
		files = append(files, f)
	}
	return files, nil
}

// userPaths says where the files of a user lie, by their names.
func (l *Local) userPaths(ctx context.Context, user string) (map[string]string, error) {
	ls, err := l.list(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	boxes := ls.boxes[user]
	if len(boxes) == 0 {
		return nil, fmt.Errorf("%s: %w", user, ErrNoUser)
	}
	if user == SharedUser {
		return nil, nil
	}
	var in *cyrus.Mailbox
	if boxes[0].Archived == inbox {
		in = &boxes[0].Mailbox
	}
	return l.conf.UserFiles(user, in), nil
}

func (l *Local) userFile(ctx context.Context, path string) (File, error) {
	timeout, waited := l.patience(ctx)
	f, err := lock.OpenRead(ctx, path, timeout)
	waited()
	if errors.Is(err, lock.ErrBusy) {
		return File{}, fmt.Errorf("%w: %v", ErrBusy, err) // lock.ErrBusy is for the store's lock
	}
	if err != nil {
		return File{}, err
	}
	defer f.Close() // and with it the lock
	file, _, err := content(f, nil)
	file.SHA1 = sha1.Sum(file.Data)
	return file, err
}
