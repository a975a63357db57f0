package indextest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"backupfs/index"
)

// Store returns an empty folder for a store. When the test and its clean-ups have ended, and it has not failed, each index below
// it must pass index.Check with its archive, each archive must be to tar what it is to us, and there must be no open descriptor and no mount below it, and no goroutine
// that was not there before. Call it first of all, and not from parallel tests: their goroutines would be counted.
func Store(t testing.TB) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if t.Failed() {
			return
		}
		for _, err := range []error{Mounts(root), Descriptors(root), goleak.Find(before), CheckAll(root), Tools(root)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return root
}

// CheckAll runs index.Check for each index below root that knows its archive.
func CheckAll(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "index.sqlite3" {
			return err
		}
		ix, err := index.OpenRead(path)
		if err != nil {
			return err
		}
		s, err := ix.Status()
		if err := errors.Join(err, ix.Close()); err != nil {
			return err
		}
		if s.Archive == "" {
			return nil
		}
		return index.Check(context.Background(), filepath.Join(filepath.Dir(path), s.Archive), path)
	})
}

// Descriptors returns an error that names the files below root which this process has open.
func Descriptors(root string) error {
	const dir = "/proc/self/fd"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var open []error
	for _, fd := range fds {
		target, err := os.Readlink(filepath.Join(dir, fd.Name()))
		if err == nil && below(root, target) {
			open = append(open, fmt.Errorf("descriptor %s is still open: %s", fd.Name(), target))
		}
	}
	return errors.Join(open...)
}

// Mounts returns an error that names the mount points below root.
func Mounts(root string) error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	var mounted []error
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// The fifth word is the mount point, its blanks in octal.
		if words := strings.Fields(lines.Text()); len(words) > 4 && below(root, strings.ReplaceAll(words[4], `\040`, " ")) {
			mounted = append(mounted, fmt.Errorf("still mounted: %s", words[4]))
		}
	}
	return errors.Join(append(mounted, lines.Err())...)
}

func below(root, path string) bool { return path == root || strings.HasPrefix(path, root+"/") }
