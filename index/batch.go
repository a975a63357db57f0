package index

import (
	"fmt"

	"backupfs/archive"
	"backupfs/cyrus"
)

// batch applies runs within one transaction. What it keeps in memory is bounded by the number of folders, one folder's index
// (parsed), and keepLives.
type batch struct {
	db      *db
	folders map[string]*folder // by uniqueid
	nextDir int64
	nextMsg int64
	lives   map[int64][]life // open messages of folders seen lately
	kept    int              // how many they are

	run     int64 // the one being read
	foreign bool  // its members are another tool's
	changed []*folder
	names   []nameChange
	// new in this run
	newMessages int
	newBytes    int64
}

// keepLives is how many open messages are remembered between runs, at about 50 bytes each: a rebuild of a year
// then need not read a folder back for each of its days.
const keepLives = 500_000

// folder is a row of folders, and what this run brought for it.
type folder struct {
	id       int64
	uniqueid string
	messages int64 // shown by IMAP
	bytes    int64

	touched    bool
	index      []byte      // cyrus.index of this run, until it is applied; nil if none waits
	waits      bool        // index waits to be applied; nil then says that it is gone
	applied    bool        // an index of this run was applied
	exceptions *Exceptions // cyrus.backupfs of this run, nil if none
}

type nameChange struct {
	name   string
	folder *folder // nil: the name is gone
}

func newBatch(d *db) (*batch, error) {
	b := &batch{db: d, folders: map[string]*folder{}, lives: map[int64][]life{}}
	err := d.query(func(r *row) error {
		f := &folder{id: r.int(0), uniqueid: r.text(1), messages: r.int(2), bytes: r.int(3)}
		b.folders[f.uniqueid] = f
		return nil
	}, "SELECT id, uniqueid, messages, bytes FROM folders")
	if err != nil {
		return nil, err
	}
	for _, n := range []struct {
		to   *int64
		text string
	}{
		{&b.nextDir, "SELECT coalesce(max(id), 0) + 1 FROM dirs"},
		{&b.nextMsg, "SELECT coalesce(max(id), 0) + 1 FROM messages"},
		{&b.run, "SELECT coalesce(max(run), 0) + 1 FROM runs"},
	} {
		if _, err := d.one(func(r *row) { *n.to = r.int(0) }, n.text); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// folder returns the folder of a uniqueid, and makes its row at its first appearance.
func (b *batch) folder(uniqueid string) (*folder, error) {
	if f := b.folders[uniqueid]; f != nil {
		return f, nil
	}
	f := &folder{id: int64(len(b.folders) + 1), uniqueid: uniqueid}
	if _, err := b.db.exec("INSERT INTO folders VALUES (?, ?, 0, 0, '', ?)", f.id, uniqueid, Exceptions{}.Marshal()); err != nil {
		return nil, err
	}
	b.folders[uniqueid] = f
	return f, nil
}

func (b *batch) problem(entry, text string) error {
	_, err := b.db.exec("INSERT INTO problems VALUES (NULL, ?, ?, ?)", b.run, entry, text)
	return err
}

const (
	flagMarker  = 1 << 0
	flagForeign = 1 << 1
)

func (b *batch) member(m archive.Member) error {
	b.foreign = m.Foreign
	var flags int64
	if m.Marker {
		flags |= flagMarker
	}
	if m.Foreign {
		flags |= flagForeign
	}
	if _, err := b.db.exec("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)", m.Tar, m.File, m.FileSize, m.TarSize, int64(m.First), flags); err != nil {
		return err
	}
	if m.Foreign {
		return nil
	}
	_, err := b.db.exec("UPDATE status SET id = ?1 WHERE id <> ?1", int64(m.ID))
	return err
}

// file notes a message's bytes; the first entry of a digest counts.
func (b *batch) file(g cyrus.GUID, e archive.Entry) error {
	n, err := b.db.exec(`INSERT INTO files VALUES (NULL, ?, ?, ?, ?) ON CONFLICT (sha1) DO UPDATE
		SET size = excluded.size, mtime = excluded.mtime, tar = excluded.tar WHERE tar IS NULL`, g[:], e.Size, e.Mtime, e.Data)
	if n > 0 {
		b.newMessages++
		b.newBytes += e.Size
	}
	return err
}

// meta notes a copy of a meta file, folder 0 for the user's own, or that it is gone. The last one of a run counts.
func (b *batch) meta(folder int64, name string, sha1 cyrus.GUID, e archive.Entry) error {
	if _, err := b.db.exec("DELETE FROM metas WHERE folder = ? AND name = ? AND first = ?", folder, name, b.run); err != nil {
		return err
	}
	if _, err := b.db.exec(`UPDATE metas SET last = ?4 - 1 WHERE folder = ?1 AND name = ?2 AND last = ?3
		AND first = (SELECT max(first) FROM metas WHERE folder = ?1 AND name = ?2)`, folder, name, open, b.run); err != nil {
		return err
	}
	if e.Gone() {
		return nil
	}
	_, err := b.db.exec("INSERT INTO metas VALUES (?, ?, ?, ?, ?, ?, ?, ?)", folder, name, b.run, open, sha1[:], e.Size, e.Mtime, e.Data)
	return err
}

// touch notes that a file of a folder came in this run.
func (b *batch) touch(f *folder) {
	if !f.touched {
		f.touched = true
		b.changed = append(b.changed, f)
	}
}

// index takes a folder's cyrus.index, nil if it is gone. It waits for the exceptions that a run of ours brings behind it; other
// tools bring none.
func (b *batch) index(f *folder, raw []byte) error {
	f.index, f.waits = raw, true
	if b.foreign {
		return b.apply(f)
	}
	return nil
}

// backupfs takes a folder's cyrus.backupfs, nil if it is gone.
func (b *batch) backupfs(f *folder, raw []byte) error {
	f.exceptions = nil
	if raw == nil {
		return nil
	}
	e, err := ParseExceptions(raw)
	if err != nil {
		return b.problem(folderEntry(f.uniqueid, backupfsFile), err.Error())
	}
	f.exceptions = &e
	if f.waits {
		return b.apply(f)
	}
	return nil
}

// end finishes the run: what waited is applied, the names change, the row is written.
func (b *batch) end(r archive.Run) error {
	if err := b.renumber(int64(r.Run)); err != nil {
		return err
	}
	for _, f := range b.changed {
		if err := b.endFolder(f); err != nil {
			return err
		}
	}
	if err := b.endNames(r.Inferred); err != nil {
		return err
	}
	if r.Inferred {
		r.NewMessages, r.NewBytes = b.newMessages, b.newBytes
		_, err := b.db.one(func(c *row) {
			r.Folders, r.Messages, r.Bytes = int(c.int(0)), int(c.int(1)), c.int(2)
		}, `SELECT count(*), coalesce(sum(messages), 0), coalesce(sum(bytes), 0) FROM folders
			WHERE id IN (SELECT folder FROM names WHERE last = ?)`, open)
		if err != nil {
			return err
		}
	}
	if err := b.db.insertRun(r); err != nil {
		return err
	}
	if err := b.db.script("RELEASE run; SAVEPOINT run"); err != nil {
		return err
	}
	b.run++
	b.changed, b.names, b.newMessages, b.newBytes = nil, nil, 0, 0
	return nil
}

// renumber moves what was applied of this run to the number that its marker gives it: greater than the next one where a marker
// before it was lost.
func (b *batch) renumber(run int64) error {
	if run == b.run {
		return nil
	}
	for _, text := range []string{
		"UPDATE messages SET first = ?1 WHERE first = ?2",
		"UPDATE metas SET first = ?1 WHERE first = ?2",
		"UPDATE problems SET run = ?1 WHERE run = ?2",
	} {
		if _, err := b.db.exec(text, run, b.run); err != nil {
			return err
		}
	}
	for _, f := range b.changed {
		b.forget(f)
	}
	b.run = run
	return nil
}

// endFolder. A fingerprint is that of the last run which brought a file of the folder; one that said none makes it
// unknown, so that the next run looks at the folder again.
func (b *batch) endFolder(f *folder) error {
	if f.waits {
		if err := b.apply(f); err != nil {
			return err
		}
	}
	var fingerprint string
	if f.exceptions != nil {
		fingerprint = f.exceptions.Fingerprint
	}
	_, err := b.db.exec("UPDATE folders SET fingerprint = ? WHERE id = ?", fingerprint, f.id)
	f.touched, f.applied, f.exceptions = false, false, nil
	return err
}

// endNames applies the names' changes of a run, of each name the last.
func (b *batch) endNames(inferred bool) error {
	names := make([]string, len(b.names))
	for i, n := range b.names {
		names[i] = n.name
	}
	if inferred {
		names = cyrus.Canonical(names)
	}
	last := map[string]int{}
	for i, n := range names {
		last[n] = i
	}
	for i, n := range names {
		if last[n] != i {
			continue
		}
		if err := b.name(n, b.names[i].folder); err != nil {
			return err
		}
	}
	return nil
}

// maxLevels of a path are more than the 490 bytes give room for that a server takes for a name. Each is a row of the index, and a directory of the mount.
//
// cyrus: imap/mboxname.h MAX_MAILBOX_NAME
const maxLevels = 512

// name sets the folder of a name, or ends it (nil). One that is too deep is noted.
func (b *batch) name(archived string, f *folder) error {
	var now int64
	if _, err := b.db.one(func(r *row) { now = r.int(0) },
		"SELECT folder FROM names WHERE archived = ? AND last = ?", archived, open); err != nil {
		return err
	}
	if f != nil && now == f.id {
		return nil
	}
	if _, err := b.db.exec("UPDATE names SET last = ? WHERE archived = ? AND last = ?", b.run-1, archived, open); err != nil || f == nil {
		return err
	}
	path := cyrus.TreePath(archived)
	if len(path) > maxLevels {
		return b.problem("imap/", fmt.Sprintf("%.100q… has %d levels: no server has a folder so deep", archived, len(path)))
	}
	dir, err := b.dir(path)
	if err != nil {
		return err
	}
	_, err = b.db.exec("INSERT INTO names VALUES (?, ?, ?, ?, ?)", archived, b.run, open, dir, f.id)
	return err
}

// dir returns the row of a path, and makes it and those on the way to it.
func (b *batch) dir(path []string) (int64, error) {
	var parent int64
	for _, name := range path {
		id, ok, err := b.db.dir(parent, name)
		if err != nil {
			return 0, err
		}
		if !ok {
			id = b.nextDir
			b.nextDir++
			if _, err := b.db.exec("INSERT INTO dirs VALUES (?, ?, ?)", id, parent, name); err != nil {
				return 0, err
			}
		}
		parent = id
	}
	return parent, nil
}

func (d *db) dir(parent int64, name string) (id int64, ok bool, err error) {
	ok, err = d.one(func(r *row) { id = r.int(0) }, "SELECT id FROM dirs WHERE parent = ? AND name = ?", parent, name)
	return id, ok, err
}
