package backup

import (
	"errors"
	"fmt"

	"backupfs/archive"
)

// Report is what Verify found out about one user.
type Report struct {
	Runs    int
	Entries int
	Bytes   int64     // of their contents
	Archive []error   // stretches that cannot be read, digests that are wrong; each wraps archive.ErrDamaged
	Damaged []Finding // whose bytes are in such a stretch, or wrong
	Missing []Finding // that the server had no file for, as the runs noted: no damage
	Index   error     // why the index is not what a rebuild would make
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

// Err wraps archive.ErrDamaged if anything is damaged.
func (r *Report) Err() error {
	switch {
	case len(r.Archive)+len(r.Damaged) > 0:
		return fmt.Errorf("%d messages and files are damaged: %w", len(r.Damaged), archive.ErrDamaged)
	case errors.Is(r.Index, ErrIndexDiffers):
		return fmt.Errorf("%w: %w", r.Index, archive.ErrDamaged)
	}
	return r.Index
}
