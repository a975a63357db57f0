package index

import (
	"cmp"
	"slices"

	"backupfs/archive"
	"backupfs/cyrus"
)

// life is an open row of messages: what must be the same for it to go on.
type life struct {
	uid      uint32
	expunged bool
	missing  bool       // the run notes that the server had no file for it
	guid     cyrus.GUID // zero: unknown
	size     int64      // as the index says; it matters only where guid is zero
	date     int64
	first    int64
}

// same reports whether b continues a.
func (a life) same(b life) bool {
	return a.expunged == b.expunged && a.missing == b.missing && a.guid == b.guid && a.date == b.date && (!a.guid.IsZero() || a.size == b.size)
}

// apply makes a folder's messages what its cyrus.index of this run says. An index that cannot be parsed leaves them as they were.
func (b *batch) apply(f *folder) error {
	raw := f.index
	f.index, f.waits = nil, false
	var ix cyrus.Index
	if raw != nil {
		p, err := cyrus.ParseIndex(raw)
		if err != nil {
			return b.problem(folderEntry(f.uniqueid, indexFile), err.Error())
		}
		ix = *p
	}
	if f.applied {
		if err := b.undo(f); err != nil {
			return err
		}
	}
	f.applied = true
	var exceptions Exceptions
	if f.exceptions != nil {
		exceptions = *f.exceptions
	}
	old, err := b.loadLives(f)
	if err != nil {
		return err
	}
	now := livesOf(&ix, exceptions)
	if err := b.diff(f, old, now); err != nil {
		return err
	}
	b.keep(f, now)

	f.messages, f.bytes = 0, 0
	for _, l := range now {
		if !l.expunged {
			f.messages++
			f.bytes += l.size
		}
	}
	_, err = b.db.exec("UPDATE folders SET messages = ?, bytes = ?, exceptions = ? WHERE id = ?", f.messages, f.bytes, exceptions.Marshal(), f.id)
	return err
}

// sizeOf keeps damaged sizes of version 20 within what can be added up.
func sizeOf(r *cyrus.Record) int64 { return int64(min(r.Size, archive.MaxSize)) }

// livesOf are the messages that an index lists, by UID. An index is ordered already, unless it is damaged; of a UID that
// it has twice the later record counts, which the server appended later.
func livesOf(ix *cyrus.Index, e Exceptions) []life {
	lives := make([]life, 0, len(ix.Records))
	for i := range ix.Records {
		r := &ix.Records[i]
		if r.Unlinked() {
			continue
		}
		l := life{uid: r.UID, expunged: r.Expunged(), missing: e.Missing[r.UID], guid: r.GUID, size: sizeOf(r), date: r.InternalDate}
		if g, ok := e.Message[r.UID]; ok {
			l.guid = g
		}
		lives = append(lives, l)
	}
	byUID := func(a, b life) int { return cmp.Compare(a.uid, b.uid) }
	if !slices.IsSortedFunc(lives, byUID) {
		slices.SortStableFunc(lives, byUID)
	}
	out := lives[:0]
	for _, l := range lives {
		if n := len(out); n > 0 && out[n-1].uid == l.uid {
			out = out[:n-1]
		}
		out = append(out, l)
	}
	return out
}

// diff ends the lives of old that do not go on in now, begins the new ones, and sets first in now.
func (b *batch) diff(f *folder, old, now []life) error {
	for i := range now {
		n := &now[i]
		for len(old) > 0 && old[0].uid < n.uid {
			if err := b.endLife(f, old[0]); err != nil {
				return err
			}
			old = old[1:]
		}
		if len(old) > 0 && old[0].uid == n.uid {
			o := old[0]
			old = old[1:]
			if o.same(*n) {
				n.first = o.first
				continue
			}
			if err := b.endLife(f, o); err != nil {
				return err
			}
		}
		if err := b.beginLife(f, n); err != nil {
			return err
		}
	}
	for _, o := range old {
		if err := b.endLife(f, o); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) endLife(f *folder, l life) error {
	_, err := b.db.exec("UPDATE messages SET last = ? WHERE folder = ? AND uid = ? AND first = ?", b.run-1, f.id, int64(l.uid), l.first)
	return err
}

// beginLife adds a row. A file that the archive has not is noted without a place: it is missing until its bytes come.
func (b *batch) beginLife(f *folder, l *life) error {
	l.first = b.run
	file, err := b.fileOf(*l)
	if err != nil {
		return err
	}
	// One row by its values: an INSERT from a SELECT would save each page that it touches, to be able to take back half of it.
	_, err = b.db.exec("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		f.id, int64(l.uid), b.run, open, b.nextMsg, number(l.expunged), number(l.missing), file, l.date)
	b.nextMsg++
	return err
}

// number is a column that is 0 or 1.
func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

func (b *batch) fileOf(l life) (id int64, err error) {
	get := func(r *row) { id = r.int(0) }
	var sha1 []byte
	if !l.guid.IsZero() {
		sha1 = l.guid[:]
		if ok, err := b.db.one(get, "SELECT id FROM files WHERE sha1 = ?", sha1); ok || err != nil {
			return id, err
		}
	}
	if _, err := b.db.exec("INSERT INTO files VALUES (NULL, ?, ?, ?, NULL)", sha1, l.size, l.date); err != nil {
		return 0, err
	}
	_, err = b.db.one(get, "SELECT max(id) FROM files")
	return id, err
}

// undo takes back what this run did to a folder's messages: its cyrus.index came again, and the last one counts.
func (b *batch) undo(f *folder) error {
	if _, err := b.db.exec("DELETE FROM messages WHERE folder = ? AND first = ?", f.id, b.run); err != nil {
		return err
	}
	if _, err := b.db.exec("UPDATE messages SET last = ? WHERE folder = ? AND last = ?", open, f.id, b.run-1); err != nil {
		return err
	}
	b.forget(f)
	_, err := b.db.one(func(r *row) { b.nextMsg = r.int(0) }, "SELECT coalesce(max(id), 0) + 1 FROM messages")
	return err
}

func (b *batch) loadLives(f *folder) ([]life, error) {
	if l, ok := b.lives[f.id]; ok {
		return l, nil
	}
	var lives []life
	err := b.db.query(func(r *row) error {
		l := life{uid: r.uid(0), first: r.nat(1), expunged: r.int(2) != 0, date: r.int(3), size: r.nat(5), missing: r.int(6) != 0}
		if !r.null(4) {
			copy(l.guid[:], r.blob(4))
		}
		lives = append(lives, l)
		return nil
	}, `SELECT m.uid, m.first, m.expunged, m.internaldate, f.sha1, f.size, m.missing FROM messages m JOIN files f ON f.id = m.file
		WHERE m.folder = ? AND m.last = ? ORDER BY m.uid`, f.id, open)
	return lives, err
}

func (b *batch) forget(f *folder) {
	b.kept -= len(b.lives[f.id])
	delete(b.lives, f.id)
}

func (b *batch) keep(f *folder, lives []life) {
	b.kept += len(lives) - len(b.lives[f.id])
	b.lives[f.id] = slices.Clip(lives)
	if b.kept > keepLives {
		clear(b.lives)
		b.kept = 0
	}
}
