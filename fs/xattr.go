package fs

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/index"
)

// Extended attributes: of a message, its GUID (the SHA-1 of its bytes) and internal date; of a date, its run. With Options.Flags, of a message
// also its UID, flags and modification sequence: without, one file stands for it in all folders and dates, in which these differ.
const attrPrefix = "user."

// attribute is one extended attribute. Its value is read when it is asked for: who lists names wants none.
type attribute struct {
	name  string
	value func() (string, error)
}

func fixed(name, value string) attribute {
	return attribute{name, func() (string, error) { return value, nil }}
}

// GetXAttr returns the value of an attribute.
func (f *FS) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, attrPrefix) {
		return 0, fuse.ENOATTR // ls asks for ACLs and labels of each file
	}
	r := newRequest(cancel)
	defer r.close()
	value := ""
	err := f.attributes(r, header.NodeId, func(attrs []attribute) (err error) {
		i := slices.IndexFunc(attrs, func(a attribute) bool { return a.name == name })
		if i < 0 {
			return errNoAttr
		}
		value, err = attrs[i].value()
		return err
	})
	if err != nil {
		return 0, f.errno(err, header.NodeId)
	}
	return put(dest, value)
}

// ListXAttr lists the names of the attributes.
func (f *FS) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	r := newRequest(cancel)
	defer r.close()
	var names strings.Builder
	err := f.attributes(r, header.NodeId, func(attrs []attribute) error {
		for _, a := range attrs {
			names.WriteString(a.name + "\x00")
		}
		return nil
	})
	if err != nil {
		return 0, f.errno(err, header.NodeId)
	}
	return put(dest, names.String())
}

// put copies an answer, or says how much room it needs.
func put(dest []byte, s string) (uint32, fuse.Status) {
	if len(s) > len(dest) {
		return uint32(len(s)), fuse.ERANGE
	}
	return uint32(copy(dest, s)), fuse.OK
}

// attributes hands over those that a node has.
func (f *FS) attributes(ctx *request, id uint64, use func([]attribute) error) error {
	n, ok := decode(id)
	if !ok {
		return errStale
	}
	date := n.kind == kindDir && n.id == 0
	if !date && !n.isFile() {
		return use(nil)
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return err
	}
	defer f.users.release(u)
	attrs, err := f.attributesOf(u, id, n)
	if err != nil {
		return err
	}
	return use(attrs)
}

func (f *FS) attributesOf(u *user, id uint64, n node) ([]attribute, error) {
	if n.kind == kindDir {
		r, err := u.run(n.run)
		complete := "yes"
		if len(r.Skipped) > 0 {
			complete = "no" // folders stand as the run before left them
		}
		return []attribute{
			fixed("user.backupfs.run", strconv.Itoa(n.run)),
			fixed("user.backupfs.begun", r.Begun.UTC().Format(time.RFC3339)),
			fixed("user.backupfs.complete", complete),
		}, err
	}
	m, ok, err := f.asked(u, id, n)
	if err != nil || !ok {
		return nil, err
	}
	attrs := []attribute{
		fixed("user.cyrus.guid", m.GUID.String()),
		fixed("user.cyrus.internaldate", time.Unix(m.InternalDate, 0).UTC().Format(time.RFC3339)),
	}
	if n.kind == kindFlagged {
		key := flagsKey{n.slot, m.folder, n.run}
		attrs = append(attrs,
			fixed("user.cyrus.uid", strconv.FormatUint(uint64(m.UID), 10)),
			attribute{"user.cyrus.flags", func() (string, error) {
				flags, _, err := f.flagsOfMessage(u, key, m.UID)
				return flagList(flags), err
			}},
			attribute{"user.cyrus.modseq", func() (string, error) {
				_, modseq, err := f.flagsOfMessage(u, key, m.UID)
				return strconv.FormatUint(modseq, 10), err
			}})
	}
	return attrs, nil
}

// message is one that is asked about.
type message struct {
	index.Message
	folder int64 // row, where the node id is a row
}

// asked returns the message that a node is, ok false if it is another file. Programs ask for each attribute by itself, and first for its
// length; and who has looked a message up reads it next.
func (f *FS) asked(u *user, id uint64, n node) (m message, ok bool, err error) {
	if m, ok = f.lastAsked.get(id); ok {
		return m, true, nil
	}
	if n.isRow() {
		m.Message, m.folder, ok, err = u.index.MessageByID(n.id)
	} else {
		m.Message, ok, err = u.index.FileAt(n.id)
		m.InternalDate = m.FileMtime
	}
	if ok && err == nil && m.Tar >= 0 {
		f.lastAsked.put(id, m, 1)
	}
	return m, ok, err
}
