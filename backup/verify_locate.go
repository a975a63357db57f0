package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"backupfs/archive"
	"backupfs/index"
)

// errLost: what the index lists, no run noted as missing, and the archive has not.
var errLost = fmt.Errorf("%w: its bytes are not in the archive", archive.ErrDamaged)

// locate names what is wrong by folder, UID and dates. ix knows what stands in the archive, as for the mount.
func (v *verifier) locate(ctx context.Context, ix *index.Index, a *archive.Archive) error {
	l, err := newLocator(ix)
	if err != nil {
		return err
	}
	saved := newSaved(a, ix)
	for _, s := range v.bad {
		var holders []index.Holder
		if s.from < s.to { // rubbish between two members hits nobody
			if holders, err = ix.Holders(s.from, s.to); err != nil {
				return err
			}
			if !s.gone {
				err = saved.look(ctx, s)
			}
			if err != nil {
				return err
			}
		}
		held := false
		for _, h := range holders {
			if f, ok := l.finding(h); ok && (s.gone || !saved.tars[h.Tar]) {
				f.Err = s.err
				v.tell(l, &v.report.Damaged, h.Folder, f)
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
			v.tell(l, &v.report.Missing, h.Folder, f)
		case v.isLost(h):
			v.tell(l, &v.report.Lost, h.Folder, f)
		default:
			f.Err = errLost
			v.tell(l, &v.report.Damaged, h.Folder, f)
		}
	}
	for _, lost := range v.lost {
		if folder, f, ok := l.lostFile(lost); ok {
			v.tell(l, &v.report.Lost, folder, f)
		}
	}
	return l.err
}

// isLost says that a repair named a message as lost.
func (v *verifier) isLost(h index.Holder) bool {
	_, ok := v.lost["files/"+h.SHA1.String()]
	return ok
}

// lostFile describes a meta file that a repair found lost.
func (l *locator) lostFile(lost Lost) (folder int64, f Finding, ok bool) {
	i := slices.IndexFunc(l.runs, func(r index.Run) bool { return r.Run.Run == lost.Run })
	top, rest, _ := strings.Cut(lost.Name, "/")
	if i < 0 || top == "files" {
		return 0, f, false
	}
	f = Finding{File: rest, Dates: []string{l.runs[i].Date}}
	if id, file, ok := strings.Cut(rest, "/"); ok {
		f.File, f.Folder = file, id
		for row, st := range l.states {
			if name, ok := l.namesOf(lost.Run)[row]; ok && st.id == id {
				folder, f.Folder = row, name
			}
		}
	}
	return folder, f, true
}

// tell adds a finding to a list of the report. A thing is told once: what names one that is there, in another life or hit by another
// stretch, adds to its dates. Two folders that had one name, one after the other, are two things.
func (v *verifier) tell(l *locator, list *[]Finding, folder int64, f Finding) {
	key := told{list, folder, f.UID, f.File}
	i, ok := v.told[key]
	if !ok {
		v.told[key] = len(*list)
		*list = append(*list, f)
		return
	}
	was := &(*list)[i]
	was.Dates = l.inOrder(append(was.Dates, f.Dates...))
}

// inOrder sorts dates by their runs, each once.
func (l *locator) inOrder(dates []string) []string {
	sorted := make([]string, 0, len(dates))
	for _, r := range l.runs {
		if slices.Contains(dates, r.Date) {
			sorted = append(sorted, r.Date)
		}
	}
	return sorted
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
