package index

import (
	"iter"

	"backupfs/cyrus"
)

// Message is a message in a folder as of a run.
type Message struct {
	ID           int64 // row, the same in all runs of its life
	UID          uint32
	GUID         cyrus.GUID // of the bytes; zero if unknown, in a version 9 folder whose file is missing
	InternalDate int64      // Unix seconds
	Expunged     bool
	Size         int64 // of the bytes, or as the index says if they are missing
	Tar          int64 // of the content; -1: the archive does not have its bytes
	Lost         bool  // and nobody noted that the server had none: they were damaged before the index was made
	FileMtime    int64 // mtime in the tar header, Unix seconds
}

const messageColumns = `SELECT m.id, m.uid, m.internaldate, m.expunged, m.missing, f.sha1, f.size, f.tar, f.mtime
	FROM messages m JOIN files f ON f.id = m.file `

func scanMessage(r *row) Message {
	m := Message{ID: r.int(0), UID: uint32(r.int(1)), InternalDate: r.int(2), Expunged: r.int(3) != 0}
	m.setFile(r, 5)
	m.Lost = m.Tar < 0 && r.int(4) == 0
	return m
}

// setFile takes sha1, size, tar, mtime of a file, from column i on.
func (m *Message) setFile(r *row, i int) {
	if !r.null(i) {
		copy(m.GUID[:], r.blob(i))
	}
	m.Size, m.Tar, m.FileMtime = r.int(i+1), -1, r.int(i+3)
	if !r.null(i + 2) {
		m.Tar = r.int(i + 2)
	}
}

// chunk is how many messages are fetched at a time: 70 kB, in a millisecond during which no one else can ask.
const chunk = 1000

// Messages yields a folder's messages as of a run by UID, expunged ones among them. The index may be used meanwhile.
func (ix *Index) Messages(folder int64, run int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var buf []Message
		for after := int64(-1); ; after = int64(buf[chunk-1].UID) {
			buf = buf[:0]
			err := ix.query(func(r *row) error {
				buf = append(buf, scanMessage(r))
				return nil
			}, messageColumns+`WHERE m.folder = ?1 AND m.uid > ?2 AND m.first <= ?3 AND m.last >= ?3 ORDER BY m.uid LIMIT ?4`,
				folder, after, int64(run), int64(chunk))
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
		messageColumns+"WHERE m.folder = ?1 AND m.uid = ?2 AND m.first <= ?3 AND m.last >= ?3", folder, int64(uid), int64(run))
	return m, ok, err
}

// MessageByID returns a message by its row.
func (ix *Index) MessageByID(id int64) (m Message, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m = scanMessage(r) }, messageColumns+"WHERE m.id = ?", id)
	return m, ok, err
}

// FileAt finds the message bytes that stand at a tar offset of content: GUID, Size, Tar and FileMtime of the result.
func (ix *Index) FileAt(tar int64) (m Message, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m.setFile(r, 0) }, "SELECT sha1, size, tar, mtime FROM files WHERE tar = ?", tar)
	return m, ok, err
}

// HasFile reports whether the archive holds a message's bytes.
func (ix *Index) HasFile(g cyrus.GUID) (bool, error) {
	return ix.one(func(*row) {}, "SELECT 1 FROM files WHERE sha1 = ? AND tar IS NOT NULL", g[:])
}
