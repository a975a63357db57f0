package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

// storeEnv names the store where --store does not.
const storeEnv = "BACKUPFS_STORE"

// addStore adds the flag that names the store.
func addStore(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "store", "", "`DIR` of the archives (default: $"+storeEnv+")")
}

// storeDir is the store's folder, from the flag or the environment. Who gives it as the first of args, where users are named, is told
// how to call.
func storeDir(verb, dir string, args []string) (string, error) {
	if dir == "" {
		dir = os.Getenv(storeEnv)
	}
	if dir != "" {
		return dir, nil
	}
	err := cli.Usagef("no store is named: use --store DIR, or set %s", storeEnv)
	if len(args) > 0 {
		if info, statErr := os.Stat(args[0]); statErr == nil && info.IsDir() {
			err = cli.WithHint(err, "backupd %s --store %s", verb, cli.Shell(args[0]))
		}
	}
	return "", err
}

// openStore opens a store of ours that exists.
func openStore(ctx context.Context, verb, dir string, args []string) (*store.Store, error) {
	dir, err := storeDir(verb, dir, args)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(dir)
	return st, notOurs(ctx, dir, err)
}

// errForeign: a verb that writes was given a store that is another's.
var errForeign = errors.New("a store of Cyrus::Backup, which is never written to")

// notOurs explains why a folder is no store of ours.
func notOurs(ctx context.Context, dir string, err error) error {
	if !errors.Is(err, store.ErrNotStore) && !errors.Is(err, store.ErrNotEmpty) {
		return err
	}
	if _, foreignErr := cli.OpenForeign(ctx, dir, cli.CacheDir()); foreignErr == nil || errors.Is(foreignErr, store.ErrTwoFolders) {
		return cli.WithHint(fmt.Errorf("%s: %w", dir, errForeign), "backupd import --from %s --store DIR (copies it into a store)", cli.Shell(dir))
	}
	if errors.Is(err, store.ErrNotStore) {
		err = cli.WithHint(err, "ls -ld %s (is the path right, and the disk mounted? a first backup makes a store)", cli.Shell(dir))
	}
	return err
}

// perlHelp is for verbs that read any store.
const perlHelp = `

DIR may also be a store of Cyrus's own Cyrus::Backup: the folder with its data and meta folders, or one with the archives
anywhere below it, each in a folder of its user's name. Nothing is written there; the indexes are made in the folder
--cachedir, anew where an archive changed.`

// anyStore is a store that is only read: ours, or one of Cyrus::Backup.
type anyStore struct{ dir, cache string }

func (s *anyStore) addFlags(cmd *cobra.Command) {
	addStore(cmd, &s.dir)
	addCacheDir(cmd, &s.cache)
}

// addCacheDir adds the flag that names the cache.
func addCacheDir(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "cachedir", "",
		"`DIR` for indexes of a store of Cyrus::Backup (default: $XDG_CACHE_HOME/backupfs, for root /var/cache/backupfs)")
}

func (s *anyStore) open(ctx context.Context, verb string, args []string) (*store.Store, error) {
	dir, err := storeDir(verb, s.dir, args)
	if err != nil {
		return nil, err
	}
	st, err := cli.OpenStore(ctx, dir, cmp.Or(s.cache, cli.CacheDir()))
	return st, notOurs(ctx, dir, err)
}
