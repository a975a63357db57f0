package index

import (
	"cmp"
	"iter"
	"slices"

	"backupfs/archive"
	"backupfs/cyrus"
)

// What some of an index's runs show: for who keeps these, and drops the others.

// span is consecutive ones of a list of runs, by their places in it, both ends included.
type span struct{ from, to int }

// spanOf is what a life from run first to run last has of the runs, which rise. ok is false if it has none.
func spanOf(runs []int, first, last int64) (s span, ok bool) {
	from, _ := slices.BinarySearchFunc(runs, first, func(run int, n int64) int { return cmp.Compare(int64(run), n) })
	to, found := slices.BinarySearchFunc(runs, last, func(run int, n int64) int { return cmp.Compare(int64(run), n) })
	if !found {
		to--
	}
	return span{from, to}, from <= to
}

// and are the parts of s that are in one of some spans, which rise.
func (s span) and(spans []span) iter.Seq[span] {
	return func(yield func(span) bool) {
		for _, o := range spans {
			if both := (span{max(s.from, o.from), min(s.to, o.to)}); both.from <= both.to && !yield(both) {
				return
			}
		}
	}
}

// shownFolder is a folder that some run shows, by a name.
type shownFolder struct {
	id    int64
	shown []span // when, rising and with gaps between them
}

// LastOfGone returns the runs that are the last ones to show a folder which the newest run does not show.
func (ix *Index) LastOfGone() (runs []int, err error) {
	err = ix.query(func(r *row) error {
		runs = append(runs, int(r.int(0)))
		return nil
	}, `SELECT DISTINCT (SELECT max(run) FROM runs WHERE run <= g.last) AS shown FROM (SELECT max(last) AS last FROM names GROUP BY folder) g
		WHERE g.last < (SELECT max(run) FROM runs) AND shown IS NOT NULL ORDER BY shown`)
	return runs, err
}

// userFolder stands for the user's own files, which all runs show.
const userFolder = ""

// shownFolders returns the folders that runs show, by uniqueid, and the user's own files.
func (ix *Index) shownFolders(runs []int) (map[string]shownFolder, error) {
	folders := map[string]shownFolder{}
	err := ix.query(func(r *row) error {
		if s, ok := spanOf(runs, r.int(2), r.int(3)); ok {
			f := folders[r.text(1)]
			f.id, f.shown = r.int(0), append(f.shown, s)
			folders[r.text(1)] = f
		}
		return nil
	}, "SELECT f.id, f.uniqueid, n.first, n.last FROM names n JOIN folders f ON f.id = n.folder")
	for id, f := range folders {
		f.shown = union(f.shown)
		folders[id] = f
	}
	if all, ok := spanOf(runs, 0, open); ok {
		folders[userFolder] = shownFolder{shown: []span{all}}
	}
	return folders, err
}

// union sorts spans, and joins those that overlap or touch.
func union(spans []span) (joined []span) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, s := range spans {
		if n := len(joined); n > 0 && s.from <= joined[n-1].to+1 {
			joined[n-1].to = max(joined[n-1].to, s.to)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

// Bytes are messages with bytes in an archive, each once, and what is stored with them.
type Bytes struct {
	Messages int
	Size     int64 // of the messages
	Tar      int64 // of all entries with content that the index knows, with headers, and of the runs' markers
}

// Dead is what of the archive none of the runs needs, which rise.
func (ix *Index) Dead(runs []int) (dead Bytes, err error) {
	needed := rowSet{}
	folders, err := ix.shownFolders(runs)
	if err != nil {
		return dead, err
	}
	for _, f := range folders {
		err := ix.query(func(r *row) error {
			if id := r.int(2); !needed.has(id) && f.shows(runs, r) {
				needed.add(id)
			}
			return nil
		}, "SELECT first, last, file FROM messages WHERE folder = ?", f.id)
		if err != nil {
			return dead, err
		}
	}
	err = ix.query(func(r *row) error {
		if !needed.has(r.int(0)) {
			dead.Messages++
			dead.Size += r.nat(1)
			dead.Tar += entryTar(r.nat(1))
		}
		return nil
	}, "SELECT id, size FROM files WHERE tar IS NOT NULL")
	if err != nil {
		return dead, err
	}
	err = ix.query(func(r *row) error {
		if !folders[r.text(3)].shows(runs, r) {
			dead.Tar += entryTar(r.nat(2))
		}
		return nil
	}, "SELECT m.first, m.last, m.size, coalesce(f.uniqueid, '') FROM metas m LEFT JOIN folders f ON f.id = m.folder")
	if err != nil {
		return dead, err
	}
	err = ix.query(func(r *row) error {
		if _, ok := slices.BinarySearch(runs, int(r.int(0))); !ok {
			dead.Tar += r.int(1)
		}
		return nil
	}, "SELECT run, end_tar - marker FROM runs")
	return dead, err
}

// rowSet are rows of a table, which lie close together: a bit each, in words by what they begin with.
type rowSet map[int64]uint64

func (s rowSet) has(id int64) bool { return s[id>>6]>>(id&63)&1 != 0 }
func (s rowSet) add(id int64)      { s[id>>6] |= 1 << (id & 63) }

// shows says whether runs show of the folder what a row is about, which begins with a life's first run and its last.
func (f shownFolder) shows(runs []int, r *row) bool {
	s, ok := spanOf(runs, r.int(0), r.int(1))
	if !ok {
		return false
	}
	for range s.and(f.shown) {
		return true
	}
	return false
}

// Without returns the digests of messages that some of the runs show, and of which the archive has no bytes.
func (ix *Index) Without(runs []int) (map[cyrus.GUID]bool, error) {
	folders, err := ix.shownFolders(runs)
	without := map[cyrus.GUID]bool{}
	for _, f := range folders {
		err = cmp.Or(err, ix.query(func(r *row) error {
			if f.shows(runs, r) {
				without[cyrus.GUID(r.blob(2))] = true
			}
			return nil
		}, `SELECT m.first, m.last, b.sha1 FROM messages m JOIN files b ON b.id = m.file
			WHERE m.folder = ? AND b.tar IS NULL AND length(b.sha1) = 20`, f.id))
	}
	return without, err
}

// entryTar is what an entry with content takes in the tar.
func entryTar(size int64) int64 {
	return archive.BlockSize + (size+archive.BlockSize-1)/archive.BlockSize*archive.BlockSize
}
