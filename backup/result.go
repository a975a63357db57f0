package backup

import (
	"errors"
	"fmt"
	"time"

	"backupfs/archive"
)

// ErrBefore: a run was to begin before the user's last one.
var ErrBefore = errors.New("a run cannot begin before the one before it")

// ErrLost: the archive is gone, was cut off, or is an older copy. A run would make the index forget what is lost, so there is none.
var ErrLost = fmt.Errorf("%w: it has lost runs that its index knows", archive.ErrDamaged)

// Options of a run.
type Options struct {
	At       time.Time // when the run is said to have begun, not before the last one; zero means now
	Append   archive.AppendOptions
	Progress func(Progress)
}

// Progress of a run, called often; it must be quick.
type Progress struct {
	Folder               string
	Folders, FoldersDone int
	Messages             int   // appended so far
	Bytes                int64 // appended so far
}

// Problem is something that could not be backed up as it should: it makes exit code 3.
type Problem struct {
	Folder string // empty: the archive, or all folders; "seen", "sub": the user's own file
	UID    uint32 // 0: the whole folder
	Err    error
}

func (p Problem) Error() string {
	switch {
	case p.Folder == "":
		return p.Err.Error()
	case p.UID == 0:
		return fmt.Sprintf("%s: %v", p.Folder, p.Err)
	}
	return fmt.Sprintf("%s: message %d: %v", p.Folder, p.UID, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// Problems.
var (
	// ErrDoubt: the server no longer lists a folder, but that it was deleted is not certain. It stays as the run before left it.
	ErrDoubt = errors.New("not listed any more, and perhaps not deleted")
	// ErrClock: this clock or that of an earlier run is wrong. The run is recorded at the time of the run before.
	ErrClock = errors.New("the clock is behind the last run")
	// ErrReadBack: what was just written is damaged. The next run stores again what it lacks; verify tells what is hit.
	ErrReadBack = errors.New("the run cannot be read back")
	// ErrMismatch: the file's bytes are not those that the server's index describes. They are stored as found.
	ErrMismatch = errors.New("the file does not match the server's index; stored as found")
	// ErrMissing: the index lists a message that the server has no readable file for.
	ErrMissing = errors.New("the server has no readable file for it")
)

// Result of a run.
type Result struct {
	Run       archive.Run
	Problems  []Problem
	Recovered archive.Recovered
	Current   int   // folders that the run has as the server has them; the others were skipped
	Changed   int   // of these, whose mail, flags or meta files were stored
	Reread    int   // earlier runs that the index did not know, and that were read from the archive into it
	Index     error // why the index could not be brought up to date. The run is on disk; the next one, or a reindex, mends it
}

// Nothing says that there were mailboxes, and that none could be had.
func (r *Result) Nothing() bool { return r.Current == 0 && len(r.Run.Skipped) > 0 }
