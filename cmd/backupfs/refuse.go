package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

// checkFUSE refuses where nothing can be mounted.
func checkFUSE() error {
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err == nil {
		dev.Close()
	}
	switch {
	case err != nil && !errors.Is(err, iofs.ErrPermission):
		return cli.WithHint(fmt.Errorf("%w: this system has no FUSE", err), "modprobe fuse (a container needs --device /dev/fuse)")
	case os.Geteuid() != 0 && !haveFusermount():
		return cli.WithHint(errors.New("fusermount3 is not installed, and only root can mount without it"), "apt install fuse3")
	case err != nil:
		return cli.WithHint(err, "chmod 666 /dev/fuse (as root)")
	}
	return nil
}

// haveFusermount looks where go-fuse looks.
func haveFusermount() bool {
	for _, name := range []string{"fusermount3", "/bin/fusermount3", "fusermount", "/bin/fusermount"} {
		if _, err := exec.LookPath(name); err == nil {
			return true
		}
	}
	return false
}

// openStore opens the store, ours or one of Cyrus::Backup, and refuses what is none.
func openStore(ctx context.Context, root, cacheDir string) (*store.Store, error) {
	if _, err := os.Stat(root); err != nil {
		return nil, cli.WithHint(err, "backupd backup --store %s (makes a store)", root)
	}
	st, err := cli.OpenStore(ctx, root, cacheDir)
	if errors.Is(err, store.ErrNotStore) {
		return nil, cli.WithHint(err, "backupd backup --store DIR (makes a store)")
	}
	return st, err
}

// checkMountpoint refuses a mount point where something would be hidden.
func checkMountpoint(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, syscall.ENOTCONN):
		return cli.WithHint(fmt.Errorf("%s: a mount whose program is dead is still there", dir), "fusermount3 -u %s", dir)
	case errors.Is(err, iofs.ErrNotExist):
		return cli.WithHint(fmt.Errorf("mount point %s: %w", dir, iofs.ErrNotExist), "mkdir -p %s", dir)
	case errors.Is(err, syscall.ENOTDIR):
		return cli.WithHint(fmt.Errorf("mount point %s: it is not a folder", dir), "mkdir -p DIR, for an empty folder to mount on")
	case err != nil:
		return fmt.Errorf("mount point: %w", err)
	case len(entries) > 0 && hasMount(dir):
		return cli.WithHint(fmt.Errorf("mount point %s: something is mounted there already", dir), "fusermount3 -u %s", dir)
	case len(entries) > 0:
		return cli.WithHint(fmt.Errorf("mount point %s: it is not empty", dir), "mkdir -p DIR, for an empty folder to mount on")
	}
	return nil
}

// hasMount reports whether dir lies on another file system than the folder above it.
func hasMount(dir string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(dir, &here) == nil && syscall.Stat(filepath.Join(dir, ".."), &above) == nil && here.Dev != above.Dev
}

// checkOverlap refuses a mount point that lies in a folder which the mount itself reads, or the other way round: it would wait
// for itself.
func checkOverlap(what, dir, mountpoint string) error {
	if inside(dir, mountpoint) || inside(mountpoint, dir) {
		return cli.WithHint(fmt.Errorf("mount point %s and %s %s overlap: the mount would wait for itself", mountpoint, what, dir),
			"mkdir -p DIR, for an empty folder elsewhere")
	}
	return nil
}

func inside(outer, inner string) bool {
	return outer == inner || strings.HasPrefix(inner, strings.TrimSuffix(outer, "/")+"/")
}
