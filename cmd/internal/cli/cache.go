package cli

import (
	"os"
	"path/filepath"
)

// CacheDir is where an index is kept of a store that cannot be written, or must not be.
func CacheDir() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "backupfs")
	}
	if dir, err := os.UserCacheDir(); err == nil && os.Geteuid() != 0 {
		return filepath.Join(dir, "backupfs")
	}
	return "/var/cache/backupfs"
}
