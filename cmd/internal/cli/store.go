package cli

import (
	"context"
	"errors"

	"backupfs/internal/store"
)

// OpenStore opens a store for reading: ours, or one of Cyrus::Backup, of which the indexes are kept in cacheDir.
func OpenStore(ctx context.Context, root, cacheDir string) (*store.Store, error) {
	st, err := store.Open(root)
	if !errors.Is(err, store.ErrNotStore) {
		return st, err
	}
	foreign, foreignErr := OpenForeign(ctx, root, cacheDir)
	if errors.Is(foreignErr, store.ErrOurs) {
		return nil, err // its backupfs.toml cannot be understood
	}
	return foreign, foreignErr
}

// OpenForeign opens a store of Cyrus::Backup.
func OpenForeign(ctx context.Context, root, cacheDir string) (*store.Store, error) {
	cacheDir, err := Real(cacheDir)
	if err != nil {
		return nil, err
	}
	st, err := store.OpenForeign(ctx, root, cacheDir)
	if errors.Is(err, store.ErrCacheInside) {
		err = WithHint(err, "--cachedir DIR, or backupfs -o cachedir=DIR, for a folder elsewhere")
	}
	return st, err
}
