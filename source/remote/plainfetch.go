package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// maxAskedPlain is how many messages Cyrus's own client asks for at a time.
//
// cyrus: perl/imap/lib/Cyrus/Backup.pm BackupUser
const maxAskedPlain = 1000

// plainMetas are asked for in this order.
var plainMetas = []string{"header", "index", "annotations", "mailbox_annotations"}

// plainLook asks for the meta files, which are of one moment. Where they do not fit together it asks once more, as for a local spool.
func (f *fetch) plainLook(c *conn) error {
	snap, doubt, err := f.plainMetas(c)
	if err == nil && doubt != nil {
		snap, doubt, err = f.plainMetas(c)
	}
	if err == nil && errors.Is(doubt, cyrus.ErrDamaged) {
		err = doubt
	}
	if err == nil && f.m.UniqueID != "" && snap.Header.UniqueID != f.m.UniqueID {
		if err = f.stillListed(c); err == nil {
			snap.Problems = append(snap.Problems, fmt.Errorf("%s: its header says UniqueID %q, the server's list %q", f.m.Name, snap.Header.UniqueID, f.m.UniqueID))
		}
	}
	if err != nil {
		return err
	}
	f.seen(snap)
	return nil
}

func (f *fetch) plainMetas(c *conn) (snap *source.Snapshot, doubt, err error) {
	external, err := f.external(c)
	if err != nil {
		return nil, nil, err
	}
	asked := time.Now()
	if err := c.request("FMETA", append([]string{f.user, external}, plainMetas...)...); err != nil {
		return nil, nil, f.refusal(c, err)
	}
	files := map[string]source.File{}
	var heads []wire.Head
	var unread error
	for _, name := range plainMetas {
		words, err := c.line()
		if err != nil {
			return nil, nil, err
		}
		if no := (refused{words[1:]}); words[0] == "NO" {
			switch {
			case no.says("no", "such", "file"), no.says("empty"):
			case name == "mailbox_annotations":
				files[name] = source.File{Name: metaName(name), Err: no}
			default:
				unread = no // it is there: it must not look as if it were deleted
			}
			continue
		}
		if words[0] != "DATA" {
			return nil, nil, unexpected(words)
		}
		h, err := head(words)
		if err != nil {
			return nil, nil, err
		}
		if files[name], err = c.meta(h, metaName(name)); err != nil {
			return nil, nil, err
		}
		heads = append(heads, h)
	}
	if _, err := c.lines("FMETA", unexpected); err != nil {
		return nil, nil, err
	}
	if unread != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.m.Name, unread)
	}
	ordered := []source.File{}
	for _, name := range []string{"index", "header", "annotations", "mailbox_annotations"} {
		if file, ok := files[name]; ok {
			ordered = append(ordered, file)
		} else if name == "index" || name == "header" {
			return nil, nil, fmt.Errorf("%s: the server knows it, but has no %s", f.m.Name, metaName(name))
		}
	}
	name := string(f.m.Mailbox.Name)
	snap, doubt, err = source.NewSnapshot(ordered, name+": its index", name+": its header")
	if err == nil {
		snap.Fingerprint = f.s.clock.fingerprint(asked, f.m.UniqueID, heads)
	}
	return snap, doubt, err
}

// external is the name of the mailbox that its user sees.
func (f *fetch) external(c *conn) (string, error) {
	conf, err := f.s.names.of(c, f.user)
	if err != nil {
		return "", err
	}
	external, ok := conf.External(f.m.Mailbox.Name, f.user)
	if !ok {
		return "", fmt.Errorf("%s: has no name in the namespace of the server", f.m.Name)
	}
	return external, nil
}

// refusal tells a mailbox that is gone from one that cannot be had: backupcyrusd says of both that there is no such folder.
func (f *fetch) refusal(c *conn, err error) error {
	var no refused
	if !errors.As(err, &no) {
		return err
	}
	if no.says("no", "such", "folder") {
		if err := f.stillListed(c); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: the server lists it, but: %w", f.m.Name, err)
}

// stillListed is ErrGone unless the mailbox is in a new list.
func (f *fetch) stillListed(c *conn) error {
	boxes, err := f.s.plainMailboxes(c, f.user)
	if err != nil && !errors.Is(err, source.ErrNoUser) {
		return err
	}
	if slices.ContainsFunc(boxes, func(m source.Mailbox) bool {
		return m.Mailbox.Name == f.m.Mailbox.Name && m.UniqueID == f.m.UniqueID
	}) {
		return nil
	}
	return fmt.Errorf("%s: %w", f.m.Name, source.ErrGone)
}

// plainGet asks for messages. If one is not there, or not what the index says, the mailbox is doubtful: what a new look still lists of
// those that are not there is missing, and if it was renumbered, they were others.
func (f *fetch) plainGet(ctx context.Context, c *conn, some []*cyrus.Record) error {
	external, err := f.external(c)
	if err != nil {
		return err
	}
	words := []string{f.user, external}
	for _, r := range some {
		words = append(words, strconv.FormatUint(uint64(r.UID), 10))
	}
	f.doubtful = true // also if the connection breaks
	if err := c.request("FDATA", words...); err != nil {
		return f.refusal(c, err)
	}
	doubtful := false
	for _, r := range some {
		same, err := f.plainMessage(ctx, c, r)
		if err != nil {
			return err
		}
		doubtful = doubtful || !same
	}
	done, err := c.lines("FDATA", unexpected)
	if err != nil {
		return err
	}
	f.doubtful = doubtful || len(done) == 0 || done[0] != f.snap.Header.UniqueID
	return nil
}

// plainMessage reads what is answered for one message, and delivers it. same says that it is what the index has.
func (f *fetch) plainMessage(ctx context.Context, c *conn, r *cyrus.Record) (same bool, err error) {
	words, err := c.line()
	if err != nil {
		return false, err
	}
	if words[0] == "NO" {
		why := fmt.Errorf("message %d: %w", r.UID, refused{words[1:]})
		if (refused{words[1:]}).says("no", "such", "file") {
			why = fmt.Errorf("message %d: %w", r.UID, fs.ErrNotExist)
		}
		f.lacks(r.UID, why)
		return false, nil
	}
	if words[0] != "DATA" {
		return false, unexpected(words)
	}
	h, err := head(words)
	if err != nil {
		return false, err
	}
	if h.Name != strconv.FormatUint(uint64(r.UID), 10) {
		return false, unexpected(words)
	}
	m, digest, unread, err := c.message(h, r, &f.body)
	if err != nil {
		return false, err
	}
	if unread != nil {
		f.lacks(r.UID, unread)
		return false, nil
	}
	return digest == r.GUID, f.hand(ctx, m)
}
