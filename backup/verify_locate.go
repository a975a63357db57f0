package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"backupfs/archive"
	"backupfs/index"
)

// errLost: what the index lists, no run noted as missing, and the archive has not.
var errLost = fmt.Errorf("%w: its bytes are not in the archive", archive.ErrDamaged)

// locate names what is wrong by folder, UID and dates. ix is the user's index; if it is nil, a private one is built.
func (v *verifier) locate(ctx context.Context, ix *index.Index, path string) error {
	if ix == nil {
		private, remove, err := privateIndex(ctx, path)
		if err != nil {
			return err
		}
		defer remove()
		ix = private
	}
	l, err := newLocator(ix)
	if err != nil {
		return err
	}
	for _, s := range v.bad {
		holders, err := ix.Holders(s.from, s.to)
		if err != nil {
			return err
		}
		held := false
		for _, h := range holders {
			if f, ok := l.finding(h); ok {
				f.Err = s.err
				v.report.Damaged = append(v.report.Damaged, f)
				held = true
			}
		}
		if !held && !slices.Contains(v.report.Archive, s.err) {
			v.report.Archive = append(v.report.Archive, s.err) // in no date
		}
	}
	lost, err := ix.Lost()
	if err != nil {
		return err
	}
	for _, h := range lost {
		f, ok := l.finding(h)
		switch {
		case !ok:
		case v.isNoted(l, h):
			v.report.Missing = append(v.report.Missing, f)
		default:
			f.Err = errLost
			v.report.Damaged = append(v.report.Damaged, f)
		}
	}
	return l.err
}

// isNoted says that a run knew of a message that the server had no file for it.
func (v *verifier) isNoted(l *locator, h index.Holder) bool {
	st := l.states[h.Folder]
	if st.odd[h.UID] {
		return true
	}
	return slices.ContainsFunc(v.noted[st.id], func(n note) bool {
		return n.missing[h.UID] && h.First <= n.run && n.run <= h.Last
	})
}

// privateIndex builds an index in a temporary folder.
func privateIndex(ctx context.Context, path string) (ix *index.Index, remove func(), err error) {
	dir, err := os.MkdirTemp("", "backupfs-verify-")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "index.sqlite3")
	if err = index.Rebuild(ctx, path, file, nil); err == nil {
		ix, err = index.OpenRead(file)
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return ix, func() {
		_ = ix.Close()
		_ = os.RemoveAll(dir)
	}, nil
}

// locator finds the names and dates of what an index holds.
type locator struct {
	ix     *index.Index
	runs   []index.Run
	states map[int64]folderState
	names  map[int]map[int64]string // of each run, by folder
	err    error
}

type folderState struct {
	id  string
	odd map[uint32]bool // missing, as of the last run
}

func newLocator(ix *index.Index) (*locator, error) {
	l := &locator{ix: ix, states: make(map[int64]folderState), names: make(map[int]map[int64]string)}
	states, err := ix.States()
	if err != nil {
		return nil, err
	}
	for id, st := range states {
		l.states[st.Folder] = folderState{id, st.Exceptions.Missing}
	}
	l.runs, err = ix.Runs()
	return l, err
}

// finding describes a holder; ok is false if no date shows it.
func (l *locator) finding(h index.Holder) (f Finding, ok bool) {
	f = Finding{UID: h.UID, File: h.Name, Dates: []string{}}
	for _, r := range l.runs {
		if r.Run.Run < h.First || r.Run.Run > h.Last {
			continue
		}
		name, ok := "", true
		if h.Folder != 0 {
			name, ok = l.namesOf(r.Run.Run)[h.Folder]
		}
		if ok {
			f.Folder = name
			f.Dates = append(f.Dates, r.Date)
		}
	}
	return f, len(f.Dates) > 0
}

func (l *locator) namesOf(run int) map[int64]string {
	if names, ok := l.names[run]; ok {
		return names
	}
	names := make(map[int64]string)
	folders, err := l.ix.Folders(run)
	l.err = errors.Join(l.err, err)
	for _, f := range folders {
		names[f.ID] = f.Archived
	}
	l.names[run] = names
	return names
}
