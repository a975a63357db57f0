package remote

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// maxAsked bounds a request: so many UIDs take 192 KB at most.
const maxAsked = 16000

// answer is what a SNAPSHOT has told so far.
type answer struct {
	f     *fetch
	c     *conn
	ctx   context.Context
	asked map[uint32]*cyrus.Record
	uids  cyrus.UIDSet

	index    *cyrus.Index    // of a record that is told on its own
	record   *cyrus.Record   // that one, until its message comes
	sent     map[uint32]bool // UIDs of the open part that were told of
	files    []source.File
	problems []error
}

func newAnswer(ctx context.Context, f *fetch, c *conn) *answer {
	return &answer{f: f, c: c, ctx: ctx, asked: map[uint32]*cyrus.Record{}, sent: map[uint32]bool{}}
}

// snapshot asks the agent for messages, and for all above the last that is known if above is set, and sees the mailbox as it is then.
func (f *fetch) snapshot(ctx context.Context, c *conn, some []*cyrus.Record, above bool) error {
	a := newAnswer(ctx, f, c)
	validity := uint32(0)
	if f.snap != nil {
		validity = f.snap.Index.UIDValidity
	}
	var uids []uint32
	for _, r := range some {
		uids = append(uids, r.UID)
		a.asked[r.UID] = r
	}
	a.uids = cyrus.NewUIDSet(uids)
	if above {
		a.uids = a.uids.Above(max(f.snap.Index.LastUID, slices.Max(uids)))
	}
	line := snapshotLine(ctx, c, f.user, f.m, validity, a.uids)
	if f.snap != nil {
		for _, file := range f.snap.Files {
			line += " " + wordOf(file.Name) + "=" + file.SHA1.String()
		}
	}
	if err := c.send(line + "\n"); err != nil {
		return err
	}
	return a.read()
}

// snapshotLine is a request, without what we have of the meta files.
func snapshotLine(ctx context.Context, c *conn, user string, m source.Mailbox, validity uint32, uids cyrus.UIDSet) string {
	line := "SNAPSHOT " + c.name
	for _, w := range []string{user, string(m.Mailbox.Name), m.UniqueID, waited(ctx), strconv.FormatUint(uint64(validity), 10)} {
		line += " " + wire.Encode(w)
	}
	return line + " " + cmp.Or(uids.String(), wire.None)
}

// read reads what is answered.
func (a *answer) read() error {
	var done []string
	err := a.c.begin()
	if err == nil {
		done, err = a.c.lines("SNAPSHOT", a.line)
	}
	switch {
	case err != nil:
		return refusal(a.ctx, string(a.f.m.Mailbox.Name), err)
	case len(done) != 2:
		return unexpected(done)
	}
	addWaited(a.ctx, done[1:])
	return a.end(done[0])
}

// line takes one line of the answer, and the file behind it.
func (a *answer) line(words []string) error {
	switch {
	case words[0] == "DATA":
		h, err := head(words)
		if err != nil {
			return err
		}
		switch uid, err := strconv.ParseUint(h.Name, 10, 32); {
		case h.Name == wire.Record:
			return a.takeRecord(h)
		case err == nil:
			return a.message(h, uint32(uid))
		}
		file, err := a.c.meta(h, metaName(h.Name))
		a.files = append(a.files, file)
		return err
	case words[0] == "UNKNOWN" && len(words) == 4:
		why := errors.New(words[3])
		if words[2] == wire.NoType {
			why = remoteError{words[3], cyrus.ErrDatabase}
		}
		a.files = append(a.files, source.File{Name: metaName(words[1]), Err: why})
	case words[0] == "SAME":
		h, err := head(words)
		if err != nil {
			return err
		}
		return a.same(h)
	case words[0] == "MISSING" && len(words) == 4:
		uid, err := strconv.ParseUint(words[1], 10, 32)
		if err != nil {
			return unexpected(words)
		}
		why := errors.New(words[3])
		if words[2] == wire.NoFile {
			why = remoteError{words[3], fs.ErrNotExist}
		}
		a.f.lacks(uint32(uid), why)
	case words[0] == "PROBLEM" && len(words) == 2:
		a.problems = append(a.problems, errors.New(words[1]))
	default:
		return unexpected(words)
	}
	return nil
}

// takeRecord reads the record of a message that came after the index which we have.
func (a *answer) takeRecord(h wire.Head) error {
	if h.Size > maxLine {
		return lost{fmt.Errorf("sent a record of %d bytes", h.Size)}
	}
	var b bytes.Buffer
	_, unread, err := a.c.file(h, &b)
	if err != nil {
		return err
	}
	a.index, err = cyrus.ParseIndex(b.Bytes())
	if err == nil && (unread != nil || len(a.index.Records) != 1) {
		err = errors.New("no record")
	}
	if err != nil {
		return lost{fmt.Errorf("sent a record that is none: %w", err)}
	}
	a.record = &a.index.Records[0]
	return nil
}

// message reads a message, and delivers it if it is wanted.
func (a *answer) message(h wire.Head, uid uint32) error {
	f := a.f
	rec, wanted := a.asked[uid], !f.handled[uid]
	if rec == nil {
		if a.record == nil || a.record.UID != uid || !a.uids.Open(uid) {
			return lost{fmt.Errorf("sent message %d, which is not asked for", uid)}
		}
		rec, a.record = a.record, nil
		a.sent[uid] = true
		wanted = wanted && !rec.Unlinked() && f.want(a.index, rec)
	}
	if !wanted {
		_, _, err := a.c.file(h, io.Discard)
		return err
	}
	m, _, unread, err := a.c.message(h, rec, &f.body)
	if err != nil {
		return err
	}
	if unread != nil {
		f.lacks(uid, unread)
		return nil
	}
	return f.hand(a.ctx, m)
}

// same takes a meta file that has not changed since.
func (a *answer) same(h wire.Head) error {
	if a.f.snap != nil {
		for _, file := range a.f.snap.Files {
			if file.Name == metaName(h.Name) {
				file.Mtime, file.Inode = h.Mtime, h.Inode
				a.files = append(a.files, file)
				return nil
			}
		}
	}
	return lost{fmt.Errorf("says that %s has not changed, which we do not have", h.Name)}
}

// end is when all is told: what was asked for is had, missing, or expunged and its file is gone.
func (a *answer) end(fingerprint string) error {
	f := a.f
	if len(a.files) < 2 || a.files[0].Name != metaName("index") || a.files[1].Name != metaName("header") {
		return lost{errors.New("sent a mailbox without index and header")}
	}
	name := string(f.m.Mailbox.Name)
	snap, _, err := source.NewSnapshot(a.files, name+": its index", name+": its header") // the agent has looked twice
	if err != nil {
		return lost{err}
	}
	snap.Fingerprint, snap.Problems = fingerprint, a.problems
	if f.snap == nil || f.snap.Index.UIDValidity == snap.Index.UIDValidity {
		for uid := range a.asked {
			f.handled[uid] = true
		}
		for i := range snap.Index.Records {
			if uid := snap.Index.Records[i].UID; a.uids.Open(uid) && !a.sent[uid] {
				f.handled[uid] = true
			}
		}
	}
	f.seen(snap)
	return nil
}
