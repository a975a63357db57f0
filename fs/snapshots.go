package fs

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"backupfs/index"
	"backupfs/internal/store"
)

// With Options.Snapshots dates come first, as snapshot tools want them: snapshots/2009-09-28/brong is what brong/2009-09-28 is otherwise.
// A directory has one place, so a run stands below its day alone: the earlier runs of a day are not shown, nor is a user on a day without
// a run. To list the users of a day is to look into each archive.

// The directories above the users: numbers of nodes of kindRoot.
const (
	topRoot      = 0 // holds the users, or with Snapshots the next one
	topSnapshots = 1
	topDays      = 2 // and on: the days since 1970
)

const (
	snapshotsName = "snapshots"
	daySeconds    = 24 * 60 * 60
)

// dayName is the name of a day since 1970, which is also that of the newest run which begins then (index.DateNames).
func dayName(day int64) string { return time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly) }

// dayOf is the inverse of dayName.
func dayOf(name string) (day int64, ok bool) {
	t, err := time.Parse(time.DateOnly, name)
	return t.Unix() / daySeconds, err == nil && t.Unix() >= 0
}

// dayAt is the day of a time where the mount has it.
func (f *FS) dayAt(t time.Time) int64 {
	day, _ := dayOf(t.In(f.opts.Location).Format(time.DateOnly))
	return day
}

// days are those that are listed: from the one on which the oldest archive was begun to this one.
func (f *FS) days() (first, last int64, err error) {
	all, err := f.opts.Store.Users()
	if err != nil {
		return 0, 0, err
	}
	last = f.dayAt(time.Now())
	first = last + 1
	for _, u := range all {
		path, err := u.Archive()
		if err != nil {
			continue // it is gone by now
		}
		if t, ok := store.ArchiveTime(filepath.Base(path)); ok {
			first = min(first, f.dayAt(time.Unix(t, 0)))
		}
	}
	return first, last, nil
}

// above is the inode of the directory that holds a date.
func (f *FS) above(u *user, r index.Run) uint64 {
	if f.opts.Snapshots {
		return topInode(topDays + f.dayAt(r.Begun))
	}
	return userInode(u.slot.folder.Name)
}

func topInode(id int64) uint64 { return uint64(id) + rootID }

// topEntry is a directory above the users.
func (f *FS) topEntry(name string, id int64) (entry, error) {
	node, err := fits(node{kind: kindRoot, id: id})
	e := f.rootEntry()
	e.name, e.node = name, node
	return e, err
}

// lookupTop finds a name in a directory above the users.
func (f *FS) lookupTop(ctx context.Context, n node, name string) (entry, error) {
	switch {
	case !f.opts.Snapshots:
		return f.lookupUser(name)
	case n.id == topRoot && name == snapshotsName:
		return f.topEntry(name, topSnapshots)
	case n.id == topSnapshots:
		// A run can be older than its archive says, if a compaction began that.
		if day, ok := dayOf(name); ok && day <= f.dayAt(time.Now()) {
			return f.topEntry(name, topDays+day)
		}
	case n.id >= topDays:
		return f.onDay(ctx, name, n.id-topDays)
	}
	return entry{}, errNoEntry
}

// onDay is a user's newest date of a day.
func (f *FS) onDay(ctx context.Context, name string, day int64) (entry, error) {
	user, err := f.lookupUser(name)
	if err != nil {
		return entry{}, err
	}
	n, _ := decode(user.node)
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return entry{}, err
	}
	defer f.users.release(u)
	i, ok := u.dates[dayName(day)]
	if !ok {
		return entry{}, errNoEntry
	}
	return u.top(user.name, u.runs[i], viewDate), nil
}

// readTop lists a directory above the users.
func (f *FS) readTop(ctx context.Context, n node, off uint64, add func(e entry, off uint64) bool) error {
	switch {
	case !f.opts.Snapshots:
		return f.readUsers(off, add)
	case n.id == topRoot:
		return f.readTops(topRoot, topSnapshots, topSnapshots, off, add)
	case n.id == topSnapshots:
		first, last, err := f.days()
		if err != nil {
			return err
		}
		return f.readTops(topSnapshots, topDays+first, topDays+last, off, add)
	}
	return f.readDay(ctx, n.id-topDays, off, add)
}

// readTops lists the directories above the users from one number to another. The offset of an entry is one more than its inode.
func (f *FS) readTops(self, from, to int64, off uint64, add func(e entry, off uint64) bool) error {
	if !addDots(topInode(self), rootID, off, add) {
		return nil
	}
	for id := max(from, int64(min(off, math.MaxInt32))-1); id <= to; id++ {
		name := snapshotsName
		if id >= topDays {
			name = dayName(id - topDays)
		}
		e, err := f.topEntry(name, id)
		if err != nil {
			return err
		}
		if !add(e, topInode(id)+1) {
			return nil
		}
	}
	return nil
}

// readDay lists the users that have a run of a day. The offset of an entry is the user's inode, as in the root.
func (f *FS) readDay(ctx context.Context, day int64, off uint64, add func(e entry, off uint64) bool) error {
	users, err := f.rootUsers(off < 2)
	if err != nil || !addDots(topInode(topDays+day), topInode(topSnapshots), off, add) {
		return err
	}
	for _, u := range users {
		if u.inode <= off {
			continue
		}
		e, err := f.onDay(ctx, store.Escape(u.name), day)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == errNoEntry:
		case err != nil: // the others can be listed
			f.logOnce(fmt.Sprintf("user %s: %v", store.Escape(u.name), err))
		case !add(e, u.inode):
			return nil
		}
	}
	return nil
}
