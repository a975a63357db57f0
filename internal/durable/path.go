package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// SyncDir makes the names in a folder durable: files created, renamed and removed there.
func SyncDir(dir string) error {
	return do("syncdir", dir, func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
}

// SyncFile makes a file durable that others wrote: its bytes, its length and its name.
func SyncFile(path string) error {
	err := do("sync", path, func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Rename renames a file within one folder, replacing what had the name, and syncs the folder.
// After an error either name may hold after a power loss.
func Rename(from, to string) error {
	if err := do("rename", to, func() error { return os.Rename(from, to) }); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// Remove removes a file, and syncs its folder. After an error the file may be there after a power loss, or not.
func Remove(path string) error {
	if err := do("remove", path, func() error { return os.Remove(path) }); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// WriteFile puts a file with data, mode 0600, in the place of path: whole and durable when it returns without an error,
// the old one or the new one, but nothing between, when it does not.
func WriteFile(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) { // of a crash
		return err
	}
	f, err := Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return Rename(tmp, path)
}
