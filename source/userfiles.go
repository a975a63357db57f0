package source

import (
	"context"
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
func (l *Local) UserFiles(ctx context.Context, user string, known map[string]string) ([]File, error) {
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
	paths := l.conf.UserFiles(user, in)
	var files []File
	for _, name := range userFiles {
		path := paths[name]
		if path == "" {
			continue
		}
		if fp := fingerprintOf(path); fp != "" && fp == known[name] {
			files = append(files, File{Name: name, Fingerprint: fp})
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
		f.Name = name
		files = append(files, f)
	}
	return files, nil
}

func (l *Local) userFile(ctx context.Context, path string) (File, error) {
	f, err := openLocked(ctx, path, l.opts.LockTimeout)
	if errors.Is(err, lock.ErrBusy) {
		return File{}, fmt.Errorf("%w: %v", ErrBusy, err) // lock.ErrBusy is for the store's lock
	}
	if err != nil {
		return File{}, err
	}
	defer f.Close() // and with it the lock
	now := time.Now()
	file, st, err := content(f, nil)
	file.Fingerprint = fingerprint(now, st)
	return file, err
}
