package backup

import (
	"context"
	"slices"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
)

// complete adds to a run what the witness knows of it where it was damaged: the links, and what was gone, as they were; of bytes that are
// lost, that they are. A cyrus.index that is lost is made again from the list of messages, without their flags.
func (r *repair) complete(run index.Run) error {
	changes, err := r.w.ix.Changes(run.Run.Run)
	if err != nil {
		return err
	}
	for _, e := range changes {
		e.Mtime = run.Begun.Unix()
		if _, err := r.app.Add(e, nil); err != nil {
			return err
		}
	}
	missing := map[string]map[string]bool{} // by folder's entry prefix: the files that are parsed
	for _, h := range r.holes {
		stored, err := r.w.ix.StoredIn(max(h.from, r.start), min(h.to, run.End.Tar))
		if err != nil {
			return err
		}
		for _, s := range stored {
			if r.saved[s.Entry+s.SHA1.String()] || r.isLost[lackKey(run.Run.Run, s.Entry)] {
				continue
			}
			if err := r.gone(run, s, missing); err != nil {
				return err
			}
		}
	}
	for folder, files := range missing {
		if err := r.remake(run, folder, files); err != nil {
			return err
		}
	}
	return nil
}

// gone notes an entry as lost.
func (r *repair) gone(run index.Run, s index.Stored, missing map[string]map[string]bool) error {
	r.isLost[lackKey(run.Run.Run, s.Entry)] = true
	folder, file, _ := strings.Cut(strings.TrimPrefix(s.Entry, "folders/"), "/")
	if file != "cyrus.backupfs" { // the witness knows all that it said
		r.lost = append(r.lost, Lost{Run: run.Run.Run, Name: s.Entry, SHA1: s.SHA1.String(), Size: s.Size})
	}
	switch {
	case strings.HasPrefix(s.Entry, "files/"):
		r.isLost[lackKey(0, s.Entry)] = true
	case s.Folder != 0 && (file == "cyrus.index" || file == "cyrus.backupfs"):
		if missing[folder] == nil {
			missing[folder] = map[string]bool{}
		}
		missing[folder][file] = true
	default:
		_, err := r.app.Add(archive.Entry{Name: s.Entry, Type: archive.TypeFile, Mtime: run.Begun.Unix()}, nil)
		return err
	}
	return nil
}

// remake makes a folder's cyrus.index and cyrus.backupfs again, from the messages that the witness knows.
func (r *repair) remake(run index.Run, id string, lost map[string]bool) error {
	entry := "folders/" + id + "/"
	folder := r.w.states[id].Folder
	if r.w.lacks[lackKey(run.Run.Run, entry+"cyrus.index")] {
		// Nobody knows what it said: the folder stands as the run before left it, as one that was skipped.
		for _, name := range r.w.names(folder, run.Run.Run) {
			r.skipped = append(r.skipped, name)
			r.result.Unclear = append(r.result.Unclear, name)
		}
		return nil
	}
	ix := r.w.indexOf(folder, run.Run.Run)
	again := lost["cyrus.index"]
	if again {
		ix = r.w.indexNear(folder, run.Run.Run)
	}
	says := map[uint32]cyrus.GUID{}
	for _, rec := range ix.Records {
		says[rec.UID] = rec.GUID
	}
	if again {
		ix.Records, ix.Exists, ix.LastUID = nil, 0, 0
	}
	exceptions := index.Exceptions{Message: map[uint32]cyrus.GUID{}, Missing: map[uint32]bool{}}
	for m, err := range r.w.ix.Messages(folder, run.Run.Run) {
		switch {
		case err != nil:
			return err
		case again:
			addRecord(ix, m)
		case says[m.UID] != m.GUID:
			exceptions.Message[m.UID] = m.GUID
		}
		if m.Missing {
			exceptions.Missing[m.UID] = true
		}
	}
	if again {
		raw, err := ix.Marshal()
		if err != nil {
			return err
		}
		if err := r.file(entry+"cyrus.index", raw, run); err != nil {
			return err
		}
	}
	return r.file(entry+"cyrus.backupfs", exceptions.Marshal(), run)
}

func addRecord(ix *cyrus.Index, m index.Message) {
	rec := cyrus.Record{UID: m.UID, InternalDate: m.InternalDate, Size: uint64(m.Size), GUID: m.GUID}
	if m.Expunged {
		rec.SystemFlags = cyrus.FlagExpunged
	} else {
		ix.Exists++
	}
	ix.LastUID = max(ix.LastUID, m.UID)
	ix.Records = append(ix.Records, rec)
}

// names are the names of a folder as of a run.
func (w *witness) names(folder int64, run int) (names []string) {
	folders, err := w.ix.Folders(run)
	if err != nil {
		return nil // it names less
	}
	for _, f := range folders {
		if f.ID == folder {
			names = append(names, f.Archived)
		}
	}
	return names
}

// remadeVersion is that of a cyrus.index of which no other is left: the oldest with a digest of twenty bytes that is all there.
const remadeVersion = 12

// indexOf is the folder's cyrus.index as of a run; without records if it cannot be read.
func (w *witness) indexOf(folder int64, run int) *cyrus.Index {
	if ix := w.readIndex(folder, run); ix != nil {
		return ix
	}
	return &cyrus.Index{}
}

// indexNear is the folder's cyrus.index of the run nearest to one that can be read and has digests: what matters is its UIDVALIDITY.
func (w *witness) indexNear(folder int64, run int) *cyrus.Index {
	runs := slices.Clone(w.runs)
	distance := func(r index.Run) int { return max(r.Run.Run-run, run-r.Run.Run) }
	slices.SortStableFunc(runs, func(a, b index.Run) int { return distance(a) - distance(b) })
	for _, near := range runs {
		if ix := w.readIndex(folder, near.Run.Run); ix != nil && ix.Version > 9 {
			return ix
		}
	}
	return &cyrus.Index{Version: remadeVersion, UIDValidity: 1}
}

// readIndex reads a folder's cyrus.index as of a run from the old archive, nil if it is damaged.
func (w *witness) readIndex(folder int64, run int) *cyrus.Index {
	metas, err := w.ix.Metas(folder, run)
	i := slices.IndexFunc(metas, func(m index.Meta) bool { return m.Name == "cyrus.index" })
	if err != nil || w.arch == nil || i < 0 || metas[i].Size > index.MaxMeta {
		return nil
	}
	b := make([]byte, metas[i].Size)
	if _, err := archive.NewCache(metaCache).ReadAt(context.Background(), w.arch, w.ix.Known(), b, metas[i].Tar); err != nil {
		return nil
	}
	ix, err := cyrus.ParseIndex(b)
	if err != nil {
		return nil
	}
	return ix
}
