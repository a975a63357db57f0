package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
)

// storeEnv names the store where --store does not.
const storeEnv = "BACKUPFS_STORE"

// addStore adds the flag that names the store.
func addStore(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "store", "", "`DIR` of the archives (default: $"+storeEnv+")")
}

// storeDir is the store's folder, from the flag or the environment.
func storeDir(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv(storeEnv)
	}
	if dir == "" {
		return "", cli.Usagef("no store is named: use --store DIR, or set %s", storeEnv)
	}
	return dir, nil
}

// openStore opens a store that exists.
func openStore(dir string) (*store.Store, error) {
	dir, err := storeDir(dir)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(dir)
	if errors.Is(err, store.ErrNotStore) {
		err = cli.WithHint(err, "ls -ld %s (is the path right, and the disk mounted? a first backup makes a store)", cli.Shell(dir))
	}
	return st, err
}

// selectUsers returns the named users, or all that have an archive if none are named.
func selectUsers(st *store.Store, names []string) ([]store.User, error) {
	if len(names) == 0 {
		return st.Users()
	}
	var users []store.User
	for _, name := range names {
		u, err := st.User(name)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// explain names the user in an error, and adds what helps; nil stays nil.
func explain(st *store.Store, u store.User, err error) error {
	if err == nil {
		return nil
	}
	return withHint(st, u.Name, fmt.Errorf("%s: %w", u.Name, err))
}

// withHint adds to an error of one user what helps.
func withHint(st *store.Store, user string, err error) error {
	root, name := cli.Shell(st.Root), cli.Shell(user)
	switch {
	case errors.Is(err, archive.ErrDamaged):
		return cli.WithHint(err, "backupd verify --store %s %s", root, name)
	case errors.Is(err, index.ErrNone):
		return cli.WithHint(err, "backupd reindex --store %s %s", root, name)
	case errors.Is(err, fs.ErrNotExist):
		return cli.WithHint(err, "backupd list --store %s", root)
	}
	return err
}
