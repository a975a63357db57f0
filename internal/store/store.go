package store

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"backupfs/internal/durable"
)

// Version is the format of a store that this package makes, and the newest that it opens.
const Version = 1

// configName is written last when a store is made: a folder with it is a store.
const configName = "backupfs.toml"

// Errors of Open and Init.
var (
	ErrNotStore = errors.New("not a backupfs store")
	ErrNewer    = errors.New("the store is of a newer format than this program knows")
	ErrNotEmpty = errors.New("the folder is not empty, and no backupfs store")
)

// Store is a folder of archives.
type Store struct {
	Root, ID string
	Created  bool // it was made by this Init, and not there before

	foreign *foreign // nil: the store is ours
}

type config struct {
	Format int    `toml:"format"`
	ID     string `toml:"id"`
}

// Open opens a store; ErrNotStore if there is none.
func Open(root string) (*Store, error) {
	path := filepath.Join(root, configName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", root, ErrNotStore)
	}
	if err != nil {
		return nil, err
	}
	var c config
	if err := toml.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("%s: %w: %v", path, ErrNotStore, err)
	}
	switch {
	case c.Format < 1 || c.ID == "":
		return nil, fmt.Errorf("%s: %w: it lacks format or id", path, ErrNotStore)
	case c.Format > Version:
		return nil, fmt.Errorf("%s: %w (%d, not %d)", path, ErrNewer, c.Format, Version)
	}
	return &Store{Root: root, ID: c.ID}, nil
}

// Init opens a store, and makes it (0700) where the folder is missing or empty. A folder that holds something else
// is refused. An empty one may be where a disk should be mounted: Created is to be told to people.
func Init(root string) (*Store, error) {
	st, err := Open(root)
	if !errors.Is(err, ErrNotStore) {
		return st, err
	}
	if err := makeDir(root); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Name() != configName+".tmp" { // of a crash in WriteFile
			return nil, fmt.Errorf("%s: %w", root, ErrNotEmpty)
		}
	}
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, err
	}
	var id [16]byte
	rand.Read(id[:])
	b, err := toml.Marshal(config{Format: Version, ID: hex.EncodeToString(id[:])})
	if err != nil {
		return nil, err
	}
	b = append([]byte("# A store of backupfs. Written once, when the store was made; do not change it.\n"), b...)
	if err := durable.WriteFile(filepath.Join(root, configName), b); err != nil {
		return nil, err
	}
	if st, err = Open(root); err == nil {
		st.Created = true
	}
	return st, err
}

// makeDir makes one folder, 0700 whatever the umask, and syncs its parent. One that exists is left as it is.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
