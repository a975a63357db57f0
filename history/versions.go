package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"backupfs/index"
)

var (
	// ErrNoFolder: no date has such a folder.
	ErrNoFolder = errors.New("no such folder on any date")
	// ErrNoMessage: no date has such a message.
	ErrNoMessage = errors.New("no such message on any date")
)

// Version is what a UID of a folder was: bytes, and where these stood. A UID has several if its folder was made anew.
type Version struct {
	Message index.Message
	Stood   []Stretch
}

// Stretch is dates, one after the other, on which a message stood in one place with the same flags.
type Stretch struct {
	Place
	First, Last string // dates
	Dates       int
	Flags       []string // nil if they could not be read

	first int // run, in Runs
}

// Versions finds what stood under a UID in a folder on any date, and all places where that stood. The folder is named as in the tree
// (INBOX/Drafts, .deleted/Gone/6B054A70) or as in the archive (INBOX.Drafts).
func (p *Past) Versions(ctx context.Context, folder string, uid uint32) ([]Version, error) {
	names, err := p.index.Names(p.newest())
	if err != nil {
		return nil, err
	}
	folders := map[int64]*Folder{} // with all of their names
	for _, n := range names {
		if folders[n.Folder] == nil {
			folders[n.Folder] = &Folder{ID: n.Folder, UniqueID: n.UniqueID}
		}
		folders[n.Folder].Names = append(folders[n.Folder].Names, n)
	}
	var versions []Version
	known := false
	for _, n := range names {
		if n.Archived != folder && strings.Join(n.Path, "/") != folder {
			continue
		}
		known = true
		for l, err := range p.index.Lives(n.Folder, p.newest(), uid, uid, math.MaxInt) {
			if err != nil {
				return nil, err
			}
			if Shown(l.Message) && l.First <= n.Last && n.First <= l.Last &&
				!slices.ContainsFunc(versions, func(v Version) bool { return v.Message.File == l.File }) {
				versions = append(versions, Version{Message: l.Message})
			}
		}
	}
	switch {
	case !known:
		return nil, fmt.Errorf("%s: %w", folder, ErrNoFolder)
	case len(versions) == 0:
		return nil, fmt.Errorf("%s: UID %d: %w", folder, uid, ErrNoMessage)
	}
	for i := range versions {
		if versions[i].Stood, err = p.stood(ctx, folders, versions[i].Message.File); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// moment is a message in a place on a date.
type moment struct {
	Place
	run   int // in Runs
	flags []string
}

// stood returns all stretches of a message's bytes.
func (p *Past) stood(ctx context.Context, folders map[int64]*Folder, file int64) ([]Stretch, error) {
	lives, err := p.index.LivesOf(file, p.newest())
	if err != nil {
		return nil, err
	}
	var moments []moment
	for _, l := range lives {
		f := folders[l.Folder]
		if f == nil || !Shown(l.Message) {
			continue
		}
		for i, r := range p.Runs {
			run := r.Run.Run
			if _, ok := f.At(run); !ok || run < l.First || run > l.Last {
				continue
			}
			m := moment{Place: Place{f.path(run), l.UID}, run: i}
			flags, err := p.readFlags(ctx, f, run)
			if err := p.damaged(err); err != nil {
				return nil, err
			}
			if err == nil {
				m.flags = append([]string{}, flags.Of(l.UID)...)
			}
			moments = append(moments, m)
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return cmp.Or(a.compare(b.Place), cmp.Compare(a.run, b.run)) })
	return p.stretches(moments), nil
}

func (p Place) compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Folder, q.Folder), cmp.Compare(p.UID, q.UID))
}

// stretches joins moments, which are ordered by place and run, in the order in which the stretches begin.
func (p *Past) stretches(moments []moment) (all []Stretch) {
	var last moment
	for _, m := range moments {
		if n := len(all); n > 0 && m.Place == last.Place && m.run == last.run+1 && (m.flags == nil) == (last.flags == nil) && slices.Equal(m.flags, last.flags) {
			all[n-1].Last = p.Runs[m.run].Date
			all[n-1].Dates++
		} else {
			date := p.Runs[m.run].Date
			all = append(all, Stretch{Place: m.Place, First: date, Last: date, Dates: 1, Flags: m.flags, first: m.run})
		}
		last = m
	}
	slices.SortStableFunc(all, func(a, b Stretch) int { return cmp.Compare(a.first, b.first) })
	return all
}
