package backup

import (
	"fmt"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/source"
)

// resolved is what the archive has of a snapshot's index.
type resolved struct {
	odd        index.Exceptions
	sum        total
	mismatched int
	missing    int
	retry      bool // a disk may be mended, a partition mounted again: the next run looks again though nothing changed
}

// resolve finds the bytes in the archive of each record of the index that is to be stored. What differs from the record is noted in
// the exceptions, and told if it is new.
func (f *fetched) resolve(snap *source.Snapshot) (resolved, error) {
	res := resolved{odd: index.Exceptions{
		Fingerprint: snap.Fingerprint,
		Message:     make(map[uint32]cyrus.GUID),
		Missing:     make(map[uint32]bool),
	}}
	for i := range snap.Index.Records {
		rec := &snap.Index.Records[i]
		if rec.Unlinked() {
			continue
		}
		here, ok, err := f.find(snap.Index, rec)
		if err != nil {
			return res, err
		}
		switch {
		case !ok:
			res.odd.Missing[rec.UID] = true
			res.missing++
			res.retry = res.retry || !rec.Expunged()
			f.tellMissing(rec, snap.Missing[rec.UID])
		case differs(rec, here):
			res.odd.Message[rec.UID] = here.guid
			res.mismatched++
			res.retry = true
			if f.odd.Message[rec.UID] != here.guid {
				f.r.problem(f.m.Archived, rec.UID, ErrMismatch)
			}
		case rec.GUID.IsZero():
			res.odd.Message[rec.UID] = here.guid
		}
		if !rec.Expunged() {
			res.sum.messages++
			res.sum.bytes += int64(min(rec.Size, archive.MaxSize))
		}
	}
	if res.retry {
		res.odd.Fingerprint = ""
	}
	return res, nil
}

// find returns what the archive has for a record: what was delivered just now, or before under its digest or UID.
func (f *fetched) find(ix *cyrus.Index, rec *cyrus.Record) (here found, ok bool, err error) {
	if here, ok := f.got[rec.UID]; ok {
		return here, true, nil
	}
	if rec.GUID.IsZero() {
		if f.carried(ix, rec) {
			return f.before[rec.UID], true, nil
		}
		return found{}, false, nil
	}
	size, ok, err := f.holds(rec)
	return found{rec.GUID, size}, ok, err
}

// differs says that bytes are not those that the record describes.
func differs(rec *cyrus.Record, here found) bool {
	return uint64(here.size) != rec.Size || !rec.GUID.IsZero() && here.guid != rec.GUID
}

// tellMissing tells of a message that the server lists and has no file for, unless it was told before, or is one that nobody
// sees any more.
func (f *fetched) tellMissing(rec *cyrus.Record, why error) {
	if f.odd.Missing[rec.UID] || rec.Expunged() {
		return
	}
	if read := f.unread[rec.UID]; read != nil {
		why = read
	}
	err := ErrMissing
	if why != nil {
		err = fmt.Errorf("%w: %w", ErrMissing, why)
	}
	f.r.problem(f.m.Archived, rec.UID, err)
}
