package index

// State is what backup compares a folder with: as of the last run.
type State struct {
	Folder      int64
	Fingerprint string          // empty: unknown
	Names       []string        // archived names that point to it now, sorted
	Metas       map[string]Meta // by name
	Exceptions  Exceptions      // those that its messages have
}

// States returns the state of all folders as of the last run, by uniqueid; those without a name too.
func (ix *Index) States() (map[string]State, error) {
	byID := map[int64]*State{}
	ids := map[string]int64{}
	err := ix.query(func(r *row) error {
		e, err := ParseExceptions(r.blob(3))
		e.Fingerprint = r.text(2)
		id := r.int(0)
		byID[id] = &State{Folder: id, Fingerprint: e.Fingerprint, Metas: map[string]Meta{}, Exceptions: e}
		ids[r.text(1)] = id
		return err
	}, "SELECT id, uniqueid, fingerprint, exceptions FROM folders")
	if err != nil {
		return nil, err
	}
	err = ix.query(func(r *row) error {
		s := byID[r.int(0)]
		if r.bad = r.bad || s == nil; !r.bad {
			s.Names = append(s.Names, r.text(1))
		}
		return nil
	}, "SELECT folder, archived FROM names WHERE last = ? ORDER BY archived", open)
	if err != nil {
		return nil, err
	}
	err = ix.query(func(r *row) error {
		m := scanMeta(r)
		s := byID[r.int(6)]
		if r.bad = r.bad || s == nil; !r.bad {
			s.Metas[m.Name] = m
		}
		return nil
	}, metaColumns+", folder FROM metas WHERE folder > 0 AND last = ?", open)
	if err != nil {
		return nil, err
	}
	states := make(map[string]State, len(ids))
	for uniqueid, id := range ids {
		states[uniqueid] = *byID[id]
	}
	return states, nil
}
