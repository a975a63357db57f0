package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Errors of OpenForeign.
var (
	ErrTwoFolders  = errors.New("two folders hold archives of one user")
	ErrOurs        = errors.New("a backupfs store already")
	ErrCacheInside = errors.New("nothing may be written into a store of Cyrus::Backup, nor may the cache lie there")
)

// foreign is what a store of Cyrus's own Cyrus::Backup has besides: it is never written to, so a user's index and lock lie in a cache.
type foreign struct {
	cache string // folder of the cache
	name  string // of the store's folder: of the user whose archive lies in it

	mu    sync.Mutex // guards users; not held across I/O
	users map[string]User
}

// OpenForeign opens a folder of archives that Cyrus::Backup wrote, for reading: DIR/data/USER, with DIR/meta/USER beside it, or
// archives anywhere below DIR, each in a folder with its user's name (cyrus: contrib/backup-all-users). What a reader has to keep of
// it goes into the folder cache (a path without links), below a name that is made of the store's path. ErrNotStore if there is no archive.
func OpenForeign(ctx context.Context, root, cache string) (*Store, error) {
	if _, err := os.Lstat(filepath.Join(root, configName)); err == nil {
		return nil, fmt.Errorf("%s: %w", root, ErrOurs)
	}
	path, err := filepath.Abs(root)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", root, ErrNotStore)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(path))
	s := &Store{Root: root, ID: hex.EncodeToString(sum[:16]), foreign: &foreign{cache: cache, name: filepath.Base(path)}}
	users, err := s.find(ctx)
	if err == nil && len(users) == 0 {
		err = fmt.Errorf("%s: %w", root, ErrNotStore)
	}
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(path, cache); err == nil && filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s: %w: %s", root, ErrCacheInside, cache)
	}
	return s, nil
}

// Foreign reports whether the store is Cyrus::Backup's, and never written to.
func (s *Store) Foreign() bool { return s.foreign != nil }

// find lists the users of a foreign store, sorted by name.
func (s *Store) find(ctx context.Context) ([]User, error) {
	top, meta := s.Root, ""
	if isDir(filepath.Join(s.Root, "data")) && isDir(filepath.Join(s.Root, "meta")) {
		top, meta = filepath.Join(s.Root, "data"), filepath.Join(s.Root, "meta")
	}
	byName := make(map[string]User)
	err := walkArchives(ctx, top, func(dir string) error {
		rel, err := filepath.Rel(top, dir)
		if err != nil {
			return err
		}
		u := User{Name: filepath.Base(dir), Dir: dir, state: filepath.Join(dir, stateName)}
		if rel == "." {
			u.Name = s.foreign.name
		}
		if meta != "" {
			u.state = filepath.Join(meta, rel, stateName)
		}
		u = s.Cached(u, s.foreign.cache)
		if other, twice := byName[u.Name]; twice {
			return fmt.Errorf("%s: %w: %s and %s", u.Name, ErrTwoFolders, other.Dir, dir)
		}
		byName[u.Name] = u
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.foreign.mu.Lock()
	s.foreign.users = byName
	s.foreign.mu.Unlock()
	users := make([]User, 0, len(byName))
	for _, u := range byName {
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b User) int { return cmp.Compare(a.Name, b.Name) })
	return users, nil
}

// stateName is what Cyrus's tools know of an archive (cyrus: perl/imap/lib/Cyrus/Backup.pm BackupUser).
const stateName = "backupstate.sqlite3"

// walkArchives calls found for each folder with an archive. What lies below such a folder is not looked at, nor are hidden
// folders and links: in a meta folder the archive is a link to the one in the data folder.
func walkArchives(ctx context.Context, dir string, found func(dir string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, isArchive) {
		return found(dir)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		// One that was removed meanwhile is none.
		if err := walkArchives(ctx, filepath.Join(dir, e.Name()), found); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func isArchive(e fs.DirEntry) bool {
	_, ok := ArchiveTime(e.Name())
	return ok && e.Type().IsRegular()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// foreignUser returns a user that was found, or is found now. Of one who is not there, Dir is empty.
func (s *Store) foreignUser(name string) (User, error) {
	s.foreign.mu.Lock()
	u, ok := s.foreign.users[name]
	s.foreign.mu.Unlock()
	if ok {
		return u, nil
	}
	if _, err := s.find(context.Background()); err != nil {
		return User{}, err
	}
	s.foreign.mu.Lock()
	defer s.foreign.mu.Unlock()
	if u, ok = s.foreign.users[name]; !ok {
		u = User{Name: name}
	}
	return u, nil
}
