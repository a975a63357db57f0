package archive

import (
	"errors"
	"fmt"
	"io"
)

// Complete returns the end of the last complete run, our own or inferred, at or behind from, which must be the
// zero Position or the end of a run. ErrDamaged if the archive ends before from.
func (a *Archive) Complete(from Position) (Position, error) {
	size, err := a.size()
	if err != nil {
		return Position{}, err
	}
	t, err := a.complete(from, size)
	return t.end, err
}

// tail is what stands behind a position.
type tail struct {
	end       Position // of the last complete run
	marker    Marker   // of the last run of ours, if marked
	marked    bool
	markedEnd Position // its end; the position asked for if there is none
	broken    int64    // the file offset behind end at which a member could not be read; -1 if all could
}

// complete finds the last complete run that ends before limit. Damage ends it only if no marker stands behind: behind torn bytes
// nothing stands, behind a spoilt disk block whole runs may.
func (a *Archive) complete(from Position, limit int64) (tail, error) {
	t := tail{end: from, markedEnd: from, broken: -1}
	if from.File > limit {
		return t, a.damaged(limit, fmt.Errorf("the archive ends before %d", from.File))
	}
	if plain, err := a.isPlain(); err != nil {
		return t, err
	} else if plain {
		return a.completePlain(t, limit)
	}
	// The walker tells whether a foreign member ends with an entry: the tools that write them may die within one and
	// still close the member. It follows foreign members from the last complete run on.
	var w walker
	follow := true  // the walker stands at the end of what was read
	unread := false // members of ours without a marker came since t.end
	for pos, before := from, from.File; ; {
		var walk io.Writer = io.Discard
		if follow && !unread {
			walk = &w
		}
		m, err := a.member(pos, limit, walk)
		if err == io.EOF {
			return t, nil
		}
		if errors.Is(err, ErrDamaged) {
			if t.broken < 0 {
				t.broken = pos.File
			}
			var ok bool
			// Of a member that lost bytes, the end is not where it says: the next one stands before.
			if m, ok, err = a.find(before, limit, pos.Tar); !ok && err == nil {
				return t, nil
			}
			follow = false
		}
		if err != nil {
			return t, err
		}
		pos, before = m.End(), m.File+1
		if !m.Foreign {
			if m.Marker {
				mark, err := a.marker(m)
				if err == nil {
					t = tail{end: pos, marker: mark, marked: true, markedEnd: pos, broken: -1}
					w, follow, unread = walker{}, true, false
					continue
				}
				if !errors.Is(err, ErrDamaged) {
					return t, err
				}
			}
			unread = true
			continue
		}
		if follow && unread {
			// Another tool went on where a run of ours was not finished.
			if err := a.walk(&w, t.end, pos); errors.Is(err, ErrDamaged) {
				follow = false
			} else if err != nil {
				return t, err
			}
			unread = false
		}
		if follow && w.aligned() {
			t.end = pos
		}
	}
}

// walk makes w follow all members from one position to another.
func (a *Archive) walk(w *walker, from, to Position) error {
	*w = walker{}
	for pos := from; pos.File < to.File; {
		m, err := a.member(pos, to.File, w)
		if err != nil {
			return err
		}
		if !m.Foreign {
			tar, err := a.Inflate(m, nil)
			if err != nil {
				return err
			}
			if _, err := w.Write(tar); err != nil {
				return err
			}
		}
		pos = m.End()
	}
	return nil
}

func (a *Archive) completePlain(t tail, limit int64) (tail, error) {
	ends, err := a.runEnds()
	for _, end := range ends {
		if end > t.end.File && end <= limit {
			t.end = Position{end, end}
		}
	}
	return t, err
}
