// Package testenv finds what tests need from outside their own folder.
package testenv

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Memory is a folder that lies in memory and has room for a test; empty if there is none.
func Memory() string {
	const shm = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(shm, &st); err != nil || st.Type != unix.TMPFS_MAGIC || st.Bavail*uint64(st.Bsize) < 1<<30 {
		return ""
	}
	return shm
}

// SetMemory puts a test's temporary folders there: for tests that make some thousand syncs.
func SetMemory(t testing.TB) {
	t.Helper()
	if dir := Memory(); dir != "" {
		t.Setenv("TMPDIR", dir)
	}
}

// Torture says that BACKUPFS_TORTURE has a test go on for as long as may be, as make torture does.
func Torture() bool { return os.Getenv("BACKUPFS_TORTURE") != "" }

// Seed is for a test that draws: the same each time, so that none fails by luck, another one under Torture, and BACKUPFS_SEED's to repeat that.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if Torture() {
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("BACKUPFS_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("BACKUPFS_SEED: %v", err)
		}
	}
	t.Logf("BACKUPFS_SEED=%d", seed)
	return seed
}

// Fixtures returns the folder with the files that real servers wrote. It is not part of the project: the variable CYRUS_FIXTURES names it.
func Fixtures(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("CYRUS_FIXTURES")
	if dir == "" {
		t.Fatal("CYRUS_FIXTURES is not set: `make test` sets it where the fixtures are")
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
		t.Fatalf("CYRUS_FIXTURES: %v", err)
	}
	return dir
}

// Testdata returns a folder of the project's own testdata/.
func Testdata(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "testdata", name)
		}
	}
	t.Fatal("no go.mod above the test's folder")
	return ""
}
