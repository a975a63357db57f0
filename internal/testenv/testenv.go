// Package testenv finds what tests need from outside their own folder.
package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

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
