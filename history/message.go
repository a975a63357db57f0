package history

import (
	"iter"
	"slices"

	"backupfs/index"
)

// Kept reports whether a message can be in a tree: the server had a file for it. What is lost is kept, too, and cannot be read.
func Kept(m index.Message) bool { return m.UID != 0 && (m.Tar >= 0 || m.Lost) }

// Shown reports whether IMAP showed a message that is kept.
func Shown(m index.Message) bool { return Kept(m) && !m.Expunged }

// Message is a message in a folder, as it was in the last run in which it stood there.
type Message struct {
	index.Message
	First, Last int // runs
}

// Messages joins the lives of a folder's messages, as Index.Lives yields them, by UID; those of one UID, which differ in their bytes, by the
// run in which they came. Lives that are not shown do not count.
func (f *Folder) Messages(lives iter.Seq2[index.Life, error], shown func(index.Message) bool) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var same []Message // of one UID
		flush := func() bool {
			for _, m := range same {
				if !yield(m, nil) {
					return false
				}
			}
			same = same[:0]
			return true
		}
		for l, err := range lives {
			if err != nil {
				yield(Message{}, err)
				return
			}
			if len(same) > 0 && same[0].UID != l.UID && !flush() {
				return
			}
			first, last, ok := f.within(l.First, l.Last)
			if !ok || !shown(l.Message) {
				continue
			}
			i := slices.IndexFunc(same, func(m Message) bool { return m.File == l.File })
			if i < 0 {
				i, same = len(same), append(same, Message{First: first})
			}
			same[i].Message, same[i].Last = l.Message, last // lives come in the order of runs
		}
		flush()
	}
}

// within returns the first and the last of those runs in which the folder was there.
func (f *Folder) within(first, last int) (from, to int, ok bool) {
	from = last
	for _, n := range f.Names {
		if n.First <= last && first <= n.Last {
			from, to, ok = min(from, max(first, n.First)), max(to, min(last, n.Last)), true
		}
	}
	return from, to, ok
}

// Files is a set of messages' bytes, by their rows: a bit for each, in parts.
type Files map[uint64]*[filesWords]uint64

const filesWords = 64

// PartSize is what a part of the set takes: one for each 4096 files.
const PartSize = 8 * filesWords

func (s Files) add(file int64) {
	n := uint64(file)
	part := s[n/64/filesWords]
	if part == nil {
		part = new([filesWords]uint64)
		s[n/64/filesWords] = part
	}
	part[n/64%filesWords] |= 1 << (n % 64)
}

// Has reports whether bytes are in the set.
func (s Files) Has(file int64) bool {
	n := uint64(file)
	part := s[n/64/filesWords]
	return part != nil && part[n/64%filesWords]&(1<<(n%64)) != 0
}

// Present returns what stands in a run, in any folder that its user knows.
func Present(ix *index.Index, folders []Folder, run int, shown func(index.Message) bool) (Files, error) {
	files := Files{}
	for i := range folders {
		if _, ok := folders[i].Stands(run); !ok {
			continue
		}
		for m, err := range ix.Messages(folders[i].ID, run) {
			if err != nil {
				return nil, err
			}
			if shown(m) {
				files.add(m.File)
			}
		}
	}
	return files, nil
}
