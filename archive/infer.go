package archive

import (
	"errors"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// inferred gathers what tells when a run of another tool was made.
type inferred struct{ links, indexes int64 } // newest mtimes; 0 if there was none

func (i *inferred) add(e Entry) {
	switch {
	case strings.HasPrefix(e.Name, "imap/"):
		i.links = max(i.links, e.Mtime)
	case strings.HasPrefix(e.Name, "folders/") && strings.HasSuffix(e.Name, "/cyrus.index"):
		i.indexes = max(i.indexes, e.Mtime)
	}
}

// begun is the time of the run: of its links, which bear it, else of its newest index, else of the archive's name; never
// before the run before.
func (i *inferred) begun(archive string, before time.Time) time.Time {
	at := i.links
	if at == 0 {
		at = i.indexes
	}
	if at == 0 {
		at = nameTime(archive)
	}
	if t := time.Unix(at, 0).UTC(); t.After(before) {
		return t
	}
	return before
}

// nameTime is the time in backupdata-<unix time>.tar.gz, 0 if there is none.
func nameTime(path string) int64 {
	digits, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), namePrefix), ".")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > maxMtime {
		return 0
	}
	return n
}

// Cyrus's tools put an archive's members at the end of a run, and of a thousand entries within one; the entry that comes next
// then is not counted (cyrus: perl/imap/lib/Cyrus/Backup/Tar.pm snapshot).
func splitsRun(entries int) bool { return entries == 1000 || entries == 1001 }

// GoesOn reports whether another tool's run, of which m is the last member that was known, is continued by what stands behind m: who
// read the archive while that tool wrote it saw a part of the run.
func (a *Archive) GoesOn(m Member) (bool, error) {
	plain, err := a.isPlain()
	if err != nil || plain || !m.Foreign {
		return false, err // the last member of a plain tar's run grows itself
	}
	for next, err := range a.Members(m.End()) {
		if err != nil || !next.Foreign {
			return false, ignoreDamage(err)
		}
		n, err := a.entries(m)
		return splitsRun(n), err
	}
	return false, nil
}

// entries counts those of a member of another tool.
func (a *Archive) entries(m Member) (n int, err error) {
	for s := a.Scan(m.Position, m.End(), ScanOptions{}); ; {
		e, err := s.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return n, ignoreDamage(err)
		}
		if e.Kind == EventEntry {
			n++
		}
	}
}

func ignoreDamage(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}
