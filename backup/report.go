package backup

import (
	"errors"
	"fmt"

	"backupfs/archive"
	"backupfs/index"
)

// Report is what Verify found out about one user.
type Report struct {
	Runs       int
	Entries    int
	Bytes      int64     // of their contents
	Unfinished int64     // bytes of the file behind the last complete run: of one that is not
	Archive    []error   // stretches that cannot be read, digests that are wrong; each wraps archive.ErrDamaged
	Damaged    []Finding // whose bytes are in such a stretch, or wrong
	Lost       []Finding // whose bytes a repair found lost, and named: known, and no new damage
	Missing    []Finding // that the server had no file for, as the runs noted: no damage
	Index      error     // why the index is not what a rebuild would make; nil where there is no complete run

	named []Lost // all that a repair named as lost
}

// Finding is a message, or a meta file of a folder.
type Finding struct {
	Folder string   // archived name, the newest in Dates; empty for the user's own files
	UID    uint32   // of a message
	File   string   // name of a meta file
	Dates  []string // that show it, in the names of the tree, for UTC
	Err    error    // of what is damaged
}

// What names the finding.
func (f Finding) What() string {
	switch {
	case f.UID != 0:
		return fmt.Sprintf("%s: message %d", f.Folder, f.UID)
	case f.Folder != "":
		return f.Folder + ": " + f.File
	}
	return f.File
}

// Damage counts what is wrong with the archive.
func (r *Report) Damage() int { return len(r.Archive) + len(r.Damaged) }

// Err wraps archive.ErrDamaged if anything is damaged. That there is no usable index is no error: it is a cache.
func (r *Report) Err() error {
	switch {
	case len(r.Damaged) > 0:
		return fmt.Errorf("%w, messages and files hit: %d", archive.ErrDamaged, len(r.Damaged))
	case len(r.Archive) > 0:
		return fmt.Errorf("%w, and nothing that a date shows is hit", archive.ErrDamaged)
	case errors.Is(r.Index, ErrIndexDiffers):
		return damagedIndex{ErrIndexDiffers}
	case errors.Is(r.Index, index.ErrNone):
		return nil
	}
	return r.Index
}

// damagedIndex is damaged data, and does not say that the archive is.
type damagedIndex struct{ error }

func (damagedIndex) Is(target error) bool { return target == archive.ErrDamaged }

func (e damagedIndex) Unwrap() error { return e.error }
