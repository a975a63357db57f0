package history

import (
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"backupfs/index"
)

// Kind is what became of a message or a folder.
type Kind string

// The kinds of changes.
const (
	Came    Kind = "came"
	Went    Kind = "went"
	Moved   Kind = "moved"   // of a message: went here and came there
	Renamed Kind = "renamed" // of a folder
	Flagged Kind = "flags"   // of a message that stayed
)

// Place is where a message stands: the folder's path in the tree.
type Place struct {
	Folder string
	UID    uint32
}

// FolderChange is a folder that came, went or was renamed.
type FolderChange struct {
	Kind     Kind
	From, To string // empty where it was or is not
}

// Change is what became of a message.
type Change struct {
	Kind     Kind
	Message  index.Message
	From, To Place    // zero where it was or is not
	Added    []string // flags
	Removed  []string
}

// Diff is what changed from one run to another.
type Diff struct {
	Folders  []FolderChange
	Messages []Change
}

// Diff compares what IMAP showed in two runs.
func (p *Past) Diff(ctx context.Context, a, b int) (*Diff, error) {
	folders, err := p.folders(max(a, b))
	if err != nil {
		return nil, err
	}
	d := &differ{Past: p, a: a, b: b, diff: &Diff{}}
	for i := range folders {
		if err := d.folder(ctx, &folders[i]); err != nil {
			return nil, err
		}
	}
	d.pair()
	slices.SortFunc(d.diff.Folders, func(x, y FolderChange) int { return cmp.Compare(cmp.Or(x.From, x.To), cmp.Or(y.From, y.To)) })
	slices.SortFunc(d.diff.Messages, func(x, y Change) int {
		p, q := cmp.Or(x.From, x.To), cmp.Or(y.From, y.To)
		return cmp.Or(p.compare(q), cmp.Compare(x.Kind, y.Kind))
	})
	return d.diff, nil
}

type differ struct {
	*Past
	a, b int
	diff *Diff
}

func (d *differ) folder(ctx context.Context, f *Folder) error {
	nameA, inA := f.Stands(d.a)
	nameB, inB := f.Stands(d.b)
	if !inA && !inB {
		return nil
	}
	c := FolderChange{Kind: Renamed}
	if inA {
		c.From = f.path(d.a)
	} else {
		c.Kind = Came
	}
	if inB {
		c.To = f.path(d.b)
	} else {
		c.Kind = Went
	}
	if nameA.Archived != nameB.Archived {
		d.diff.Folders = append(d.diff.Folders, c)
	}
	var flagsA, flagsB *Flags
	if inA && inB {
		same, err := d.same(f)
		if err != nil || same {
			return err
		}
		if flagsA, err = d.readFlags(ctx, f, d.a); err == nil {
			flagsB, err = d.readFlags(ctx, f, d.b)
		}
		if err := d.damaged(err); err != nil {
			return err
		}
	}
	for v, err := range d.both(f, inA, inB) {
		if err != nil {
			return err
		}
		from, to := Place{c.From, v.uid}, Place{c.To, v.uid}
		if v.a != nil && v.b != nil && v.a.File == v.b.File {
			if flagsA != nil && flagsB != nil {
				d.flagged(Change{Kind: Flagged, Message: *v.b, From: from, To: to}, flagsA.Of(v.uid), flagsB.Of(v.uid))
			}
			continue
		}
		if v.a != nil {
			d.diff.Messages = append(d.diff.Messages, Change{Kind: Went, Message: *v.a, From: from})
		}
		if v.b != nil {
			d.diff.Messages = append(d.diff.Messages, Change{Kind: Came, Message: *v.b, To: to})
		}
	}
	return nil
}

// same says that nothing changed in a folder: it has the same files in both runs.
func (d *differ) same(f *Folder) (bool, error) {
	metasA, err := d.index.Metas(f.ID, d.a)
	if err != nil {
		return false, err
	}
	metasB, err := d.index.Metas(f.ID, d.b)
	return slices.Equal(metasA, metasB), err
}

// both is a UID of a folder in both runs; nil where IMAP did not show it.
type both struct {
	uid  uint32
	a, b *index.Message
}

// both yields those UIDs of a folder that were shown in a or b.
func (d *differ) both(f *Folder, inA, inB bool) iter.Seq2[both, error] {
	return func(yield func(both, error) bool) {
		var v both
		flush := func() bool { return v.a == nil && v.b == nil || yield(v, nil) }
		for l, err := range d.index.Lives(f.ID, max(d.a, d.b), 0, math.MaxUint32, math.MaxInt) {
			if err != nil {
				yield(both{}, err)
				return
			}
			if l.UID != v.uid {
				if !flush() {
					return
				}
				v = both{uid: l.UID}
			}
			if inA && Shown(l.Message) && l.First <= d.a && d.a <= l.Last {
				v.a = &l.Message
			}
			if inB && Shown(l.Message) && l.First <= d.b && d.b <= l.Last {
				v.b = &l.Message
			}
		}
		flush()
	}
}

// flagged notes a change of flags, if there is one.
func (d *differ) flagged(c Change, a, b []string) {
	c.Added, c.Removed = without(b, a), without(a, b)
	if len(c.Added)+len(c.Removed) > 0 {
		d.diff.Messages = append(d.diff.Messages, c)
	}
}

// without returns what is in list and not in other.
func without(list, other []string) (rest []string) {
	for _, s := range list {
		if !slices.Contains(other, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// pair makes one move of what went here and came there with the same bytes.
func (d *differ) pair() {
	went := map[int64][]int{} // by file, places in the list
	for i, c := range d.diff.Messages {
		if c.Kind == Went {
			went[c.Message.File] = append(went[c.Message.File], i)
		}
	}
	for i := range d.diff.Messages {
		c := &d.diff.Messages[i]
		if from := went[c.Message.File]; c.Kind == Came && len(from) > 0 {
			c.Kind, c.From = Moved, d.diff.Messages[from[0]].From
			d.diff.Messages[from[0]].Kind = ""
			went[c.Message.File] = from[1:]
		}
	}
	d.diff.Messages = slices.DeleteFunc(d.diff.Messages, func(c Change) bool { return c.Kind == "" })
}
