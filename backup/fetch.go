package backup

import (
	"context"
	"fmt"

	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/source"
)

// found is what the archive holds for a UID.
type found struct {
	guid cyrus.GUID // of the bytes
	size int64
}

// fetched is one folder while it is fetched.
type fetched struct {
	r *run
	m source.Mailbox

	before   map[uint32]found // as of the last run, without those that were missing
	odd      index.Exceptions // as of the last run
	validity uint32           // UIDVALIDITY of the last run's index, 0 if it does not matter

	now    uint32           // UIDVALIDITY of the index that the two below are of
	got    map[uint32]found // delivered in this run
	unread map[uint32]error // could not be read
}

// fetch takes a snapshot of a mailbox and stores what the archive lacks of it.
func (r *run) fetch(ctx context.Context, m source.Mailbox, id string, st index.State) error {
	f := &fetched{r: r, m: m, odd: st.Exceptions, got: make(map[uint32]found), unread: make(map[uint32]error)}
	if err := f.remember(st); err != nil {
		r.fatal = wrap(m, err)
		return r.fatal
	}
	snap, err := r.src.Fetch(ctx, m, f.want, f.deliver)
	if err != nil {
		return err
	}
	if r.fatal == nil {
		if err := f.store(id, st, snap); err != nil {
			r.fatal = wrap(m, err)
		}
	}
	return r.fatal
}

// remember reads what the last run had, so that want can answer from memory: it is called under the mailbox's lock.
func (f *fetched) remember(st index.State) error {
	f.before = make(map[uint32]found)
	if st.Folder == 0 {
		return nil
	}
	for msg, err := range f.r.ix.Messages(st.Folder, f.r.last.Run) {
		if err != nil {
			return fmt.Errorf("index: %w", err)
		}
		if msg.Tar >= 0 {
			f.before[msg.UID] = found{msg.GUID, msg.Size}
		}
	}
	if meta, ok := st.Metas["cyrus.index"]; ok && len(st.Exceptions.Message) > 0 {
		b, err := f.r.readMeta(meta)
		if err != nil {
			return err
		}
		if old, err := cyrus.ParseIndex(b); err == nil {
			f.validity = old.UIDValidity
		}
	}
	return nil
}

// want says whether a message's bytes are to be delivered: the archive lacks what the record's digest stands for. It is called
// under the mailbox's lock, hence asks the index only for messages that are new in the folder.
func (f *fetched) want(ix *cyrus.Index, rec *cyrus.Record) bool {
	if rec.Unlinked() || f.r.fatal != nil {
		return false
	}
	if f.now != ix.UIDValidity { // renumbered between two rounds: other messages
		f.now = ix.UIDValidity
		clear(f.got)
		clear(f.unread)
	}
	if _, ok := f.got[rec.UID]; ok || f.unread[rec.UID] != nil {
		return false // an earlier round
	}
	if rec.GUID.IsZero() {
		return !f.carried(ix, rec)
	}
	_, ok, err := f.holds(rec)
	if err != nil {
		f.r.fatal = wrap(f.m, err)
	}
	return !ok && err == nil
}

// carried says that a message without a digest is the one that the last run stored under this UID.
func (f *fetched) carried(ix *cyrus.Index, rec *cyrus.Record) bool {
	old, ok := f.before[rec.UID]
	return ok && f.validity != 0 && f.validity == ix.UIDValidity && uint64(old.size) == rec.Size
}

// holds says whether the archive has the bytes of a record's digest, and how many; first from what is in memory.
func (f *fetched) holds(rec *cyrus.Record) (size int64, ok bool, err error) {
	if old, ok := f.before[rec.UID]; ok && old.guid == rec.GUID {
		return old.size, true, nil
	}
	return f.r.held(rec.GUID)
}

// held says whether the archive has the bytes of a digest, and how many.
func (r *run) held(g cyrus.GUID) (size int64, ok bool, err error) {
	if size, ok := r.added[g]; ok {
		return size, true, nil
	}
	if r.last.Run == 0 {
		return 0, false, nil
	}
	if size, ok, err = r.ix.FileSize(g); err != nil {
		err = fmt.Errorf("index: %w", err)
	}
	return size, ok, err
}
