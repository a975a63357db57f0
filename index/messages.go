package index

import (
	"iter"

	"backupfs/cyrus"
)

// Message is a message in a folder as of a run.
type Message struct {
	ID           int64 // row, the same in all runs of its life
	UID          uint32
	File         int64      // row of the bytes: one for each GUID, and one for each message whose GUID is unknown
	GUID         cyrus.GUID // of the bytes; zero if unknown, in a version 9 folder whose file is missing
	InternalDate int64      // Unix seconds
	Expunged     bool
	Size         int64 // of the bytes, or as the index says if they are missing
	Tar          int64 // of the content; -1: the archive does not have its bytes
	Missing      bool  // a run noted that the server had none
	Lost         bool  // and nobody noted that the server had none: they were damaged before the index was made
	FileMtime    int64 // mtime in the tar header, Unix seconds
}

const (
	shownColumns   = "m.id, m.uid, m.internaldate, m.expunged, m.missing"
	placeColumns   = "f.size, f.tar, f.mtime"
	messageColumns = shownColumns + ", m.file, f.sha1, " + placeColumns
	messageWidth   = 10 // columns
	messageTables  = "messages m JOIN files f ON f.id = m.file "
	selectMessage  = "SELECT " + messageColumns + " FROM " + messageTables
)

// scanMessage takes messageColumns.
func scanMessage(r *row) Message {
	m := scanShown(r)
	m.File = r.nat(5)
	m.setFile(r, 6)
	m.Lost = m.Tar < 0 && !m.Missing
	return m
}

// scanShown takes shownColumns.
func scanShown(r *row) Message {
	return Message{ID: r.nat(0), UID: r.uid(1), InternalDate: r.int(2), Expunged: r.int(3) != 0, Missing: r.int(4) != 0}
}

// setFile takes sha1, size, tar, mtime of a file, from column i on.
func (m *Message) setFile(r *row, i int) {
	if !r.null(i) {
		copy(m.GUID[:], r.blob(i))
	}
	m.setPlace(r, i+1)
}

// setPlace takes placeColumns, from column i on.
func (m *Message) setPlace(r *row, i int) {
	m.Size, m.Tar, m.FileMtime = r.nat(i), -1, r.int(i+2)
	if !r.null(i + 1) {
		m.Tar = r.nat(i + 1)
	}
}

// chunk is how many messages are fetched at a time: 70 kB, in a millisecond during which no one else can ask.
const chunk = 1000

// EachMessage calls f for a folder's messages as of a run, by UID, expunged ones among them, without GUID and File; f must not use the index. It
// takes a third less than Messages, for nothing is kept.
func (ix *Index) EachMessage(folder int64, run int, f func(Message) error) error {
	after := int64(-1)
	for n := chunk; n == chunk; {
		n = 0
		err := ix.query(func(r *row) error {
			m := scanShown(r)
			m.setPlace(r, 5)
			m.Lost = m.Tar < 0 && !m.Missing
			after, n = int64(m.UID), n+1
			return f(m)
		}, "SELECT "+shownColumns+", "+placeColumns+" FROM "+messageTables+
			"WHERE m.folder = ?1 AND m.uid > ?2 AND m.first <= ?3 AND m.last >= ?3 ORDER BY m.uid LIMIT ?4",
			folder, after, int64(run), int64(chunk))
		if err != nil {
			return err
		}
	}
	return nil
}

// Messages yields a folder's messages as of a run by UID, expunged ones among them. The index may be used meanwhile.
func (ix *Index) Messages(folder int64, run int) iter.Seq2[Message, error] {
	return ix.NewMessages(folder, 0, run)
}

// NewMessages are those of Messages that an earlier run did not show, or not so.
func (ix *Index) NewMessages(folder int64, since, run int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var buf []Message
		for after := int64(-1); ; after = int64(buf[chunk-1].UID) {
			buf = buf[:0]
			err := ix.query(func(r *row) error {
				buf = append(buf, scanMessage(r))
				return nil
			}, selectMessage+`WHERE m.folder = ?1 AND m.uid > ?2 AND m.first <= ?3 AND m.last >= ?3 AND m.first > ?4 ORDER BY m.uid LIMIT ?5`,
				folder, after, int64(run), int64(since), int64(chunk))
			if err != nil {
				yield(Message{}, err)
				return
			}
			for _, m := range buf {
				if !yield(m, nil) {
					return
				}
			}
			if len(buf) < chunk {
				return
			}
		}
	}
}

// Message returns one by UID; ok false if there is none.
func (ix *Index) Message(folder int64, run int, uid uint32) (m Message, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m = scanMessage(r) },
		selectMessage+"WHERE m.folder = ?1 AND m.uid = ?2 AND m.first <= ?3 AND m.last >= ?3", folder, int64(uid), int64(run))
	return m, ok, err
}

// MessageByID returns a message, and the row of its folder, by its row.
func (ix *Index) MessageByID(id int64) (m Message, folder int64, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m, folder = scanMessage(r), r.nat(messageWidth) },
		"SELECT "+messageColumns+", m.folder FROM "+messageTables+"WHERE m.id = ?", id)
	return m, folder, ok, err
}

// FileAt finds the message bytes that stand at a tar offset of content: GUID, Size, Tar and FileMtime of the result.
func (ix *Index) FileAt(tar int64) (m Message, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m.setFile(r, 0) }, "SELECT sha1, size, tar, mtime FROM files WHERE tar = ?", tar)
	return m, ok, err
}

// Stretch is where a message's bytes stand.
type Stretch struct{ Tar, Size int64 }

// FilesFrom returns the first n messages whose bytes stand at a tar offset or behind it, in the order of the archive.
func (ix *Index) FilesFrom(tar int64, n int) (files []Stretch, err error) {
	err = ix.query(func(r *row) error {
		files = append(files, Stretch{r.nat(0), r.nat(1)})
		return nil
	}, "SELECT tar, size FROM files WHERE tar >= ? ORDER BY tar LIMIT ?", tar, int64(n))
	return files, err
}

// HasFile reports whether the archive holds a message's bytes.
func (ix *Index) HasFile(g cyrus.GUID) (bool, error) {
	return ix.one(func(*row) {}, "SELECT 1 FROM files WHERE sha1 = ? AND tar IS NOT NULL", g[:])
}
