package index

import (
	"database/sql/driver"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
)

// SameDates reports, as an error, what now shows otherwise than was at one of the dates that now has: of the runs themselves, the names of
// folders, their meta files but for cyrus.backupfs, the messages, and which of these have bytes; and what the next backup compares the
// server with. was may have more dates, now must have no other, and the newest must be one of them.
func SameDates(was, now *Index) error {
	runs, err := now.Runs()
	if err != nil {
		return err
	}
	p := pair{was: was, now: now}
	for _, r := range runs {
		p.runs = append(p.runs, r.Run.Run)
	}
	old, err := was.shownFolders(p.runs)
	if err != nil {
		return err
	}
	made, err := now.shownFolders(p.runs)
	if err != nil {
		return err
	}
	all := made[userFolder]
	for _, text := range []string{
		`SELECT run, run, run, begun, ended, source, folders, messages, bytes, new_messages, new_bytes, missing, mismatched, skipped FROM runs
			WHERE run > ? ORDER BY run`,
		`SELECT n.first, n.last, archived, uniqueid FROM names n JOIN folders f ON f.id = folder WHERE f.id > ? ORDER BY archived, n.first`,
	} {
		if err := p.same("", text, all, all); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(made)) {
		for _, text := range []string{
			"SELECT first, last, name, sha1, size, mtime FROM metas WHERE folder = ? AND name <> 'cyrus.backupfs' ORDER BY name, first",
			// Of bytes that are missing, but whose digest is known, the size is that of who named them first.
			`SELECT m.first, m.last, uid, expunged, missing, internaldate, sha1, tar IS NULL,
				CASE WHEN tar IS NULL AND sha1 IS NOT NULL THEN 0 ELSE size END, CASE WHEN tar IS NULL THEN 0 ELSE mtime END
				FROM messages m JOIN files b ON b.id = m.file WHERE m.folder = ? ORDER BY uid, m.first`,
		} {
			if err := p.same(id, text, old[id], made[id]); err != nil {
				return err
			}
		}
	}
	return p.sameStates()
}

// pair are an index, and one that is to show the same at some runs.
type pair struct {
	was, now *Index
	runs     []int
}

// same compares what a query yields of a folder: rows that begin with a life's first run and its last, ordered by what they are about and
// these.
func (p *pair) same(folder, text string, was, now shownFolder) error {
	next, stop := iter.Pull2(p.was.shown(text, p.runs, was))
	defer stop()
	for b, err := range p.now.shown(text, p.runs, now) {
		a, wasErr, ok := next()
		switch {
		case err != nil:
			return err
		case wasErr != nil:
			return wasErr
		case !ok || a != b:
			return p.differ(folder, a, b)
		}
	}
	if a, err, more := next(); err != nil {
		return err
	} else if more {
		return p.differ(folder, a, shownRow{})
	}
	return nil
}

func (p *pair) differ(folder string, was, now shownRow) error {
	return fmt.Errorf("%s: folder %q: %s, and should be %s", p.now.path, folder, now, was)
}

// shownRow is a row, and the runs of a list that show it.
type shownRow struct {
	at    span
	value string
}

func (r shownRow) String() string {
	if r.value == "" {
		return "there is nothing"
	}
	return fmt.Sprintf("dates %d to %d: %q", r.at.from+1, r.at.to+1, r.value)
}

// shown yields the rows of a query as far as runs show them, in their order; rows that say the same of runs behind each other are one. The
// index must not be used meanwhile.
func (ix *Index) shown(text string, runs []int, f shownFolder) iter.Seq2[shownRow, error] {
	return func(yield func(shownRow, error) bool) {
		ix.mu.Lock()
		defer ix.mu.Unlock()
		var last shownRow
		for r, err := range ix.db.all(text, f.id) {
			if err != nil {
				yield(shownRow{}, err)
				return
			}
			first, isFirst := r[0].(int64)
			end, isEnd := r[1].(int64)
			if !isFirst || !isEnd {
				yield(shownRow{}, fmt.Errorf("%s: %w: a row is damaged", ix.path, ErrNone))
				return
			}
			s, ok := spanOf(runs, first, end)
			if !ok {
				continue
			}
			value := textOf(r[2:])
			for at := range s.and(f.shown) {
				if value == last.value && at.from == last.at.to+1 {
					last.at.to = at.to
					continue
				}
				if last.value != "" && !yield(last, nil) {
					return
				}
				last = shownRow{at, value}
			}
		}
		if last.value != "" {
			yield(last, nil)
		}
	}
}

// textOf is columns as a text that no others have.
func textOf(row []driver.Value) string {
	var b []byte
	for _, v := range row {
		switch v := v.(type) {
		case int64:
			b = strconv.AppendInt(b, v, 10)
		case string:
			b = strconv.AppendQuote(b, v)
		case []byte:
			b = fmt.Appendf(b, "%x", v)
		default:
			b = append(b, "none"...)
		}
		b = append(b, ' ')
	}
	return string(b)
}

// sameStates compares what the next backup goes by, of folders that have a name.
func (p *pair) sameStates() error {
	was, err := p.was.States()
	if err != nil {
		return err
	}
	now, err := p.now.States()
	if err != nil {
		return err
	}
	for id, w := range was {
		n := now[id]
		if len(w.Names) == 0 {
			continue
		}
		if w.Fingerprint != n.Fingerprint || !maps.Equal(w.Exceptions.Message, n.Exceptions.Message) || !maps.Equal(w.Exceptions.Missing, n.Exceptions.Missing) {
			return fmt.Errorf("%s: folder %q: its state is %+v, and should be %+v", p.now.path, id, n.Exceptions, w.Exceptions)
		}
	}
	return nil
}
