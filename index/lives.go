package index

import (
	"iter"

	"backupfs/cyrus"
)

// Name is a folder's name over the runs from First to Last, which are runs that there are, as in a Life.
type Name struct {
	Folder      int64 // row
	UniqueID    string
	Archived    string
	Path        []string // in the tree
	First, Last int
}

// Names returns all names that folders had up to a run, and how long up to then, in the order in which they were given.
func (ix *Index) Names(run int) (names []Name, err error) {
	err = ix.query(func(r *row) error {
		n := Name{Folder: r.nat(0), UniqueID: r.text(1), Archived: r.text(2), First: int(r.nat(3)), Last: int(r.nat(4))}
		n.Path = cyrus.TreePath(n.Archived)
		names = append(names, n)
		return nil
	}, `SELECT f.id, f.uniqueid, n.archived, n.first,
			(SELECT max(run) FROM runs WHERE run <= min(n.last, ?1)) FROM names n JOIN folders f ON f.id = n.folder
		WHERE n.first <= ?1 ORDER BY n.first, n.archived`, int64(run))
	return names, err
}

// Life is a message of a folder over the runs from First to Last. A message of which something but its flags changes has several.
type Life struct {
	Message
	Folder      int64 // row
	First, Last int
}

// selectLife asks for lives up to run ?1.
const selectLife = "SELECT " + messageColumns + `, m.folder, m.first, (SELECT max(run) FROM runs WHERE run <= min(m.last, ?1))
	FROM ` + messageTables

func scanLife(r *row) Life {
	return Life{scanMessage(r), r.nat(messageWidth), int(r.nat(messageWidth + 1)), int(r.nat(messageWidth + 2))}
}

// Lives yields the lives that the messages of a folder with UIDs from to to had up to a run, and how long up to then, by UID and run;
// those only that ended before run until. The index may be used meanwhile.
func (ix *Index) Lives(folder int64, run int, from, to uint32, until int) iter.Seq2[Life, error] {
	return func(yield func(Life, error) bool) {
		var buf []Life
		for uid, first := int64(from), int64(0); ; {
			buf = buf[:0]
			err := ix.query(func(r *row) error {
				buf = append(buf, scanLife(r))
				return nil
			}, selectLife+`WHERE m.folder = ?2 AND (m.uid, m.first) > (?3, ?4) AND m.uid <= ?5 AND m.first <= ?1 AND m.last < ?6
				ORDER BY m.uid, m.first LIMIT ?7`,
				int64(run), folder, uid, first, int64(to), int64(until), int64(chunk))
			if err != nil {
				yield(Life{}, err)
				return
			}
			for _, l := range buf {
				if !yield(l, nil) {
					return
				}
			}
			if len(buf) < chunk {
				return
			}
			uid, first = int64(buf[chunk-1].UID), int64(buf[chunk-1].First)
		}
	}
}

// LivesOf returns the lives that a message's bytes had up to a run, in any folder. It reads the whole index.
func (ix *Index) LivesOf(file int64, run int) (lives []Life, err error) {
	err = ix.query(func(r *row) error {
		lives = append(lives, scanLife(r))
		return nil
	}, selectLife+"WHERE m.file = ?2 AND m.first <= ?1 ORDER BY m.folder, m.uid, m.first", int64(run), file)
	return lives, err
}
