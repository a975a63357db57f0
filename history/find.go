package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/match"
)

// Found is a message that stood in a place on some date, as it was there last.
type Found struct {
	Place
	Message     index.Message
	First, Last string // dates

	folder *Folder
	run    int // last
	flags  []string
}

var (
	errLater = errors.New("this is asked later")
	errLost  = fmt.Errorf("%w: its bytes are not in the archive", archive.ErrDamaged)
)

// Find returns all messages that any date has and for which an expression holds, each place once: as they were, with their flags, on the
// last date there. It asks in the order of what an answer costs, and reads the archive forward, once.
func (p *Past) Find(ctx context.Context, e *match.Expr) ([]Found, error) {
	all, err := p.candidates(e)
	if err != nil {
		return nil, err
	}
	// Flags, one index after the other.
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Or(cmp.Compare(a.folder.ID, b.folder.ID), cmp.Compare(a.run, b.run)) })
	all, err = p.sieve(all, e, func(f *Found) match.Message {
		return match.Message{
			Flags: func() ([]string, error) {
				flags, err := p.readFlags(ctx, f.folder, f.run)
				if err == nil {
					f.flags = flags.Of(f.UID)
				}
				return f.flags, err
			},
			Header: func() (io.Reader, error) { return nil, errLater },
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b Found) int { return cmp.Compare(a.Message.Tar, b.Message.Tar) })
	all, err = p.sieve(all, e, func(f *Found) match.Message {
		return match.Message{
			Flags: func() ([]string, error) { return f.flags, nil },
			Header: func() (io.Reader, error) {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				if f.Message.Tar < 0 {
					return nil, errLost
				}
				return p.content(ctx, f.Message.Tar, f.Message.Size), nil
			},
		}
	})
	slices.SortFunc(all, func(a, b Found) int { return cmp.Or(a.compare(b.Place), cmp.Compare(a.run, b.run)) })
	return all, err
}

// candidates are the messages for which holds what the index says by itself.
func (p *Past) candidates(e *match.Expr) (all []Found, err error) {
	folders, err := p.folders(p.newest())
	if err != nil {
		return nil, err
	}
	later := match.Message{
		Flags:  func() ([]string, error) { return nil, errLater },
		Header: func() (io.Reader, error) { return nil, errLater },
	}
	for i := range folders {
		f := &folders[i]
		for m, err := range f.Messages(p.index.Lives(f.ID, p.newest(), 0, math.MaxUint32, math.MaxInt), Shown) {
			if err != nil {
				return nil, err
			}
			later.InternalDate, later.Size = m.InternalDate, m.Size
			if ok, err := e.Match(later); !ok && err == nil {
				continue
			}
			all = append(all, Found{Place: Place{f.path(m.Last), m.UID}, Message: m.Message, First: p.date(m.First), Last: p.date(m.Last), folder: f, run: m.Last})
		}
	}
	return all, nil
}

// sieve keeps the messages for which holds what ask answers.
func (p *Past) sieve(all []Found, e *match.Expr, ask func(*Found) match.Message) ([]Found, error) {
	kept := all[:0]
	for i := range all {
		f := &all[i]
		m := ask(f)
		m.InternalDate, m.Size = f.Message.InternalDate, f.Message.Size
		ok, err := e.Match(m)
		if errors.Is(err, errLater) {
			ok, err = true, nil
		} else if err != nil {
			err = fmt.Errorf("%s: %s/%d.: %w", f.Last, f.Folder, f.UID, err)
		}
		if err := p.damaged(err); err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, *f)
		}
	}
	return kept, nil
}
