package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

// The server strikes a mailbox off its list first, and then removes the files.
//
// cyrus: imap/mboxlist.c mboxlist_deletemailbox, imap/mailbox.c mailbox_delete_cleanup
const removing = 100 * time.Millisecond

// whileRemoving waits for so long; tests remove files meanwhile.
var whileRemoving = func(ctx context.Context) error { return lock.Pause(ctx, removing) }

// Vanished asks a second list, and looks for the files of mailboxes that are not listed: a list of a damaged mailboxes.db ends early and looks
// right, one made while a mailbox is renamed can lack it, and a walk sees nothing of a partition that is not mounted.
func (l *Local) Vanished(ctx context.Context, user string, had []Known) ([]error, error) {
	ls, err := l.list(ctx, time.Time{})
	if err == nil && (ls.before == nil || ls.before.hasAny(user, had)) {
		ls, err = l.list(ctx, time.Now())
	}
	if err != nil {
		return nil, err
	}
	listed, elsewhere := map[string]bool{}, map[string]bool{}
	for owner, boxes := range ls.boxes {
		for _, m := range boxes {
			elsewhere[m.UniqueID] = true
			if owner == user {
				listed[m.Archived] = true
			}
		}
	}
	delete(elsewhere, "")
	doubt := ls.doubt(user)
	if doubt == nil {
		doubt = l.unmounted(ls)
	}
	why := make([]error, len(had))
	left := false // some have files
	for i, k := range had {
		switch {
		case listed[k.Archived]:
			why[i] = fmt.Errorf("%s: is listed now", k.Archived)
		case elsewhere[k.UniqueID]:
		case doubt != nil:
			why[i] = doubt
		default:
			why[i] = l.files(user, k)
			left = left || why[i] != nil
		}
	}
	if !left {
		return why, nil
	}
	if err := whileRemoving(ctx); err != nil {
		return nil, err
	}
	for i, k := range had {
		if why[i] != nil && doubt == nil && !listed[k.Archived] {
			why[i] = l.files(user, k)
		}
	}
	return why, nil
}

// hasAny says that one of a user's mailboxes is listed.
func (ls *listing) hasAny(user string, had []Known) bool {
	return slices.ContainsFunc(ls.boxes[user], func(m Mailbox) bool {
		return slices.ContainsFunc(had, func(k Known) bool { return k.Archived == m.Archived })
	})
}

// unmounted is an error if a partition looks as if it were not mounted. Debian's server has one for news that is empty: it does no
// harm if the server's own list has no mailbox on it.
func (l *Local) unmounted(ls *listing) error {
	used := map[string]bool{}
	for _, boxes := range ls.boxes {
		for _, m := range boxes {
			used[m.Partition] = true
		}
	}
	for _, partition := range l.conf.Partitions() {
		if ls.by == ByMboxlist && !used[partition] {
			continue
		}
		root, err := l.headerRoot(partition)
		if err != nil {
			return err
		}
		if err := notEmpty(partition, root); err != nil {
			return err
		}
	}
	return nil
}

// notEmpty is an error if there is nothing in a partition.
func notEmpty(partition, root string) error {
	some, err := hasEntries(root)
	if err == nil && !some {
		err = fmt.Errorf("%s is empty", root)
	}
	if err != nil {
		return fmt.Errorf("partition %s (is it mounted?): %w", partition, err)
	}
	return nil
}

func hasEntries(dir string) (bool, error) {
	d, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer d.Close()
	_, err = d.Readdirnames(1)
	if err == io.EOF {
		return false, nil
	}
	return err == nil, err
}

// files is an error if there are files of a mailbox in the spool, or if that cannot be known: where its UniqueID would lie, and
// where its name would, on each partition.
func (l *Local) files(user string, k Known) error {
	name := InternalName(user, k.Archived)
	for _, partition := range l.conf.Partitions() {
		if k.UniqueID != "" {
			p, err := l.conf.Paths(cyrus.Mailbox{Name: name, UniqueID: k.UniqueID, Partition: partition})
			if err != nil && !errors.Is(err, cyrus.ErrName) { // an id that can lie nowhere
				return err
			}
			if err == nil {
				if err := remains(p, func(*cyrus.Header) bool { return true }); err != nil {
					return err
				}
				if some, err := hasEntries(p.Data); some || err != nil && !absent(err) {
					return errors.Join(fmt.Errorf("%s is still there", p.Data), err)
				}
			}
		}
		p, err := l.conf.Paths(cyrus.Mailbox{Name: name, Partition: partition, Legacy: true})
		if err != nil {
			return err
		}
		err = remains(p, func(h *cyrus.Header) bool { return k.UniqueID == "" || h.UniqueID == "" || h.UniqueID == k.UniqueID })
		if err != nil {
			return err
		}
	}
	return nil
}

// remains is an error if the mailbox that own knows by its header has files, and is not being deleted.
func remains(p cyrus.Paths, own func(*cyrus.Header) bool) error {
	b, err := os.ReadFile(p.Header)
	if err == nil {
		if h, err := cyrus.ParseHeader(b); err == nil && !own(h) {
			return nil
		}
	} else if !absent(err) {
		return err
	}
	there := err == nil
	b, err = os.ReadFile(p.Index)
	switch {
	case err == nil:
		if ix, err := cyrus.ParseIndex(b); err == nil && ix.HeaderCRCOK && ix.Options&optMailboxDeleted != 0 {
			return nil
		}
		return fmt.Errorf("%s is still there", p.Index)
	case !absent(err):
		return err
	case there:
		return fmt.Errorf("%s is still there", p.Header)
	}
	return nil
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) }

// InternalName is the inverse of cyrus.Name.Archived for a user's mailboxes.
func InternalName(user, archived string) cyrus.Name {
	if user == SharedUser {
		return cyrus.Name(archived)
	}
	prefix, local := "", user
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		prefix, local = user[at+1:]+"!", user[:at]
	}
	if rest, ok := strings.CutPrefix(archived, inbox); ok && (rest == "" || rest[0] == '.') {
		archived = "user." + strings.ReplaceAll(local, ".", "^") + rest
	}
	return cyrus.Name(prefix + archived)
}
