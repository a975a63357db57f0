package fs

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"backupfs/cyrus"
	"backupfs/history"
	"backupfs/index"
	"backupfs/internal/store"
)

// A message has one inode in all dates, and flags that differ from date to date. So with Options.Flags it has one for each state of its folder
// instead: what flags there are is said by the folder's cyrus.index and cyrus.header, and as long as those two stay as they are, so does the
// inode, and what the kernel keeps of it. A state is known by the run in which the newer of the two came.

// flagsKey is a state of a folder.
type flagsKey struct {
	slot   uint32
	folder int64
	since  int
}

// since is the run in which the state began that a folder has in a run; 0 where messages have no flags.
func (f *FS) since(u *user, folder int64, run int) (int, error) {
	if !f.opts.Flags {
		return 0, nil
	}
	metas, err := u.index.Metas(folder, run)
	return f.sinceOf(metas), err
}

func (f *FS) sinceOf(metas []index.Meta) int {
	if !f.opts.Flags {
		return 0
	}
	return history.FlagFilesOf(metas).Since()
}

// flagsOf returns the flags of a folder's messages in a state, from memory if they were asked for lately: whoever asks for one message's
// asks for all.
func (f *FS) flagsOf(u *user, key flagsKey) (*history.Flags, error) {
	if flags, ok := f.flags.get(key); ok {
		return flags, nil
	}
	made, err, _ := f.listers.Do(fmt.Sprint("flags ", key), func() (any, error) {
		metas, err := u.index.Metas(key.folder, key.since)
		if err != nil {
			return nil, err
		}
		flags, err := history.FlagFilesOf(metas).Read(func(m index.Meta) ([]byte, error) {
			return io.ReadAll(f.members.Section(context.Background(), u.archive, u.known, m.Tar, m.Size))
		})
		if err != nil { // said once, not for each message
			where := strings.Join(f.words(u, f.dirOf(u, key.since, key.folder), 0), ", ")
			f.logOnce(fmt.Sprintf("user %s, %s: flags cannot be read: %v", store.Escape(u.slot.folder.Name), where, err))
			return nil, errNoFlags
		}
		f.flags.put(key, flags, int64(flags.Len()))
		return flags, nil
	})
	if err != nil {
		return nil, err
	}
	return made.(*history.Flags), nil
}

// flagsOfMessage returns a message's flags in a state, as IMAP has them, and its modification sequence.
func (f *FS) flagsOfMessage(u *user, key flagsKey, uid uint32) (flags []string, modseq uint64, err error) {
	all, err := f.flagsOf(u, key)
	if err != nil {
		return nil, 0, err
	}
	flags, modseq, ok := all.Message(uid)
	if !ok {
		return nil, 0, fmt.Errorf("cyrus.index: %w: it lacks UID %d", cyrus.ErrDamaged, uid)
	}
	return flags, modseq, nil
}

// flagList is flags in one order: IMAP's own first.
func flagList(flags []string) string {
	own := func(flag string) int { return strings.Count(flag[:min(1, len(flag))], `\`) }
	return strings.Join(slices.SortedFunc(slices.Values(flags), func(a, b string) int {
		return cmp.Or(cmp.Compare(own(b), own(a)), cmp.Compare(a, b))
	}), " ")
}
