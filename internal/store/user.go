package store

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// User is one user's folder.
type User struct{ Name, Dir string }

// User returns where a user's archive lies or would lie. Empty names, those that hold NUL, and those that are longer
// than 255 bytes when escaped are refused with ErrName.
func (s *Store) User(name string) (User, error) {
	escaped := Escape(name)
	switch {
	case name == "":
		return User{}, fmt.Errorf("%w: it is empty", ErrName)
	case strings.IndexByte(name, 0) >= 0:
		return User{}, fmt.Errorf("%q: %w: it holds a NUL", name, ErrName)
	case len(escaped) > maxName:
		return User{}, fmt.Errorf("%q: %w: it is longer than a file system takes", name, ErrName)
	}
	return User{Name: name, Dir: filepath.Join(s.Root, "users", bucket(name), escaped)}, nil
}

// bucket spreads the users over 256 folders, so that a million fit.
func bucket(name string) string {
	sum := sha1.Sum([]byte(name))
	return hex.EncodeToString(sum[:1])
}

// Users lists the users that have an archive, sorted by name.
func (s *Store) Users() ([]User, error) {
	top := filepath.Join(s.Root, "users")
	buckets, err := os.ReadDir(top)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var users []User
	for _, b := range buckets {
		if !b.IsDir() {
			continue
		}
		dirs, err := os.ReadDir(filepath.Join(top, b.Name()))
		if err != nil {
			return nil, err
		}
		for _, d := range dirs {
			name, err := Unescape(d.Name())
			if err != nil || !d.IsDir() || bucket(name) != b.Name() {
				continue // somebody else's
			}
			u := User{Name: name, Dir: filepath.Join(top, b.Name(), d.Name())}
			if _, err := u.Archive(); err == nil {
				users = append(users, u)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return users, nil
}

// Make makes the user's folder.
func (u User) Make() error {
	b := filepath.Dir(u.Dir)
	for _, dir := range []string{filepath.Dir(b), b, u.Dir} {
		if err := makeDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// Archive returns the path of the user's archive, fs.ErrNotExist if there is none. Of several the newest counts: a file gets
// this name when it is begun by the first run, or complete after a compaction.
func (u User) Archive() (string, error) {
	entries, err := os.ReadDir(u.Dir)
	if err != nil {
		return "", err
	}
	newest, name := int64(-1), ""
	for _, e := range entries {
		if t, ok := archiveTime(e.Name()); ok && t > newest {
			newest, name = t, e.Name()
		}
	}
	if name == "" {
		return "", &fs.PathError{Op: "find an archive in", Path: u.Dir, Err: fs.ErrNotExist}
	}
	return filepath.Join(u.Dir, name), nil
}

// archiveTime reads the number in backupdata-<number>.tar.gz, or .tar: Cyrus's tools write that too, and it can be read.
func archiveTime(name string) (t int64, ok bool) {
	digits, ok := strings.CutPrefix(name, "backupdata-")
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(strings.TrimSuffix(digits, ".gz"), ".tar"); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int64(n), err == nil
}

// Index is where the cache of the archive lies.
func (u User) Index() string { return filepath.Join(u.Dir, "index.sqlite3") }

// Lock is the file that the one writer locks.
func (u User) Lock() string { return filepath.Join(u.Dir, "lock") }
