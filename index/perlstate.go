package index

import (
	"errors"
	"fmt"
	"os"
)

// perlVersion is the newest format of Cyrus::Backup that this program knows (cyrus: perl/imap/lib/Cyrus/Backup.pm BackupVersion).
const perlVersion = 5

// ErrPerlVersion: a newer Cyrus::Backup wrote an archive.
var ErrPerlVersion = errors.New("the archive is of a newer Cyrus::Backup than this program knows: what is new in it is left out")

// KnownState reads the version out of what Cyrus::Backup knows of its archive, its backupstate.sqlite3: ErrPerlVersion if it is newer
// than what this program knows. It is a warning only. The file is read as it lies, without a lock, and nothing is made beside it; one
// that is missing, or cannot be read, says nothing.
func KnownState(path string) error {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	d, err := openDB(path, withoutLocks())
	if err != nil {
		return nil
	}
	version := int64(0)
	_, err = d.one(func(r *row) { version = r.int(0) }, "SELECT version FROM status")
	if cerr := d.close(); err != nil || cerr != nil || version <= perlVersion {
		return nil
	}
	return fmt.Errorf("%w (%d, not %d)", ErrPerlVersion, version, perlVersion)
}
