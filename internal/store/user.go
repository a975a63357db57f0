package store

import (
	"cmp"
	"context"
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
type User struct {
	Name, Dir string

	cache string // where index and lock lie, if not in Dir
	state string // of a store of Cyrus::Backup: what its tools know of the archive
}

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
	if s.foreign != nil {
		return s.foreignUser(name)
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
	all, err := s.Folders()
	if err != nil {
		return nil, err
	}
	var users []User
	for _, u := range all {
		if _, err := u.Archive(); err == nil {
			users = append(users, u)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return users, nil
}

// Folders lists the users that have a folder, sorted by name: of some the archive may be gone.
func (s *Store) Folders() ([]User, error) {
	if s.foreign != nil {
		return s.find(context.Background())
	}
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
			users = append(users, User{Name: name, Dir: filepath.Join(top, b.Name(), d.Name())})
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
// this name when it is begun by the first run, or complete after a compaction. Of several of Cyrus's tools it is the oldest: they
// remove it when what they began beside it is complete.
func (u User) Archive() (string, error) {
	entries, err := os.ReadDir(u.Dir)
	if err != nil {
		return "", err
	}
	best, name := int64(-1), ""
	for _, e := range entries {
		t, ok := ArchiveTime(e.Name())
		if !ok || u.Foreign() && !isArchive(e) {
			continue
		}
		if name == "" || t > best && !u.Foreign() || t < best && u.Foreign() {
			best, name = t, e.Name()
		}
	}
	if name == "" {
		return "", &fs.PathError{Op: "find an archive in", Path: u.Dir, Err: fs.ErrNotExist}
	}
	return filepath.Join(u.Dir, name), nil
}

// Read calls read with the path of the user's archive, for who holds no lock: again, if the file was gone because another took its place
// meanwhile, as a compaction has it.
func (u User) Read(read func(path string) error) error {
	for path, err := u.Archive(); ; {
		if err != nil {
			return err
		}
		readErr := read(path)
		if !errors.Is(readErr, fs.ErrNotExist) {
			return readErr
		}
		was := path
		if path, err = u.Archive(); path == was {
			return readErr
		}
	}
}

// ArchiveTime reads the number in the name of an archive, backupdata-<number>.tar.gz, or .tar: Cyrus's tools write that too, and it can be read.
func ArchiveTime(name string) (t int64, ok bool) {
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

// Foreign reports whether the user is one of a store of Cyrus::Backup.
func (u User) Foreign() bool { return u.state != "" }

// State is the file with what Cyrus's tools know of the archive, if it is theirs. It may be missing.
func (u User) State() string { return u.state }

// Cached is a user whose index and lock lie in a cache: of a reader who cannot write into the store, or must not.
func (s *Store) Cached(u User, cache string) User {
	u.cache = filepath.Join(cache, s.ID, Escape(u.Name))
	return u
}

// Index is where the cache of the archive lies.
func (u User) Index() string { return filepath.Join(cmp.Or(u.cache, u.Dir), "index.sqlite3") }

// Lock is the file that the one writer locks: of the archive, or of nothing but the index where the archive is another's.
func (u User) Lock() string { return filepath.Join(cmp.Or(u.cache, u.Dir), "lock") }
