package fs

import (
	"strconv"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Extended attributes: of a message, its GUID (the SHA-1 of its bytes) and internal date; of a date, its run. A message's UID is
// its name; it is no attribute, because one file can stand in several folders. Nor are flags and modseq, which differ from date to date
// while the file is the same in all: the cyrus.index beside it has them, for backupd dump, and so has backupd versions.
const attrPrefix = "user."

// attribute is one extended attribute.
type attribute struct{ name, value string }

// GetXAttr returns the value of an attribute.
func (f *FS) GetXAttr(cancel <-chan struct{}, header *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	if !strings.HasPrefix(name, attrPrefix) {
		return 0, fuse.ENOATTR // ls asks for ACLs and labels of each file
	}
	r := newRequest(cancel)
	defer r.close()
	attrs, err := f.attributes(r, header.NodeId)
	if err != nil {
		return 0, f.errno(err, header.NodeId)
	}
	for _, a := range attrs {
		if a.name == name {
			return put(dest, a.value)
		}
	}
	return 0, f.errno(errNoAttr, header.NodeId)
}

// ListXAttr lists the names of the attributes.
func (f *FS) ListXAttr(cancel <-chan struct{}, header *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	r := newRequest(cancel)
	defer r.close()
	attrs, err := f.attributes(r, header.NodeId)
	if err != nil {
		return 0, f.errno(err, header.NodeId)
	}
	var names strings.Builder
	for _, a := range attrs {
		names.WriteString(a.name + "\x00")
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

func (f *FS) attributes(ctx *request, id uint64) ([]attribute, error) {
	n, ok := decode(id)
	if !ok {
		return nil, errStale
	}
	date := n.kind == kindDir && n.id == 0
	if !date && n.kind != kindContent && n.kind != kindMessage {
		return nil, nil
	}
	u, err := f.users.acquire(ctx, n.slot)
	if err != nil {
		return nil, err
	}
	defer f.users.release(u)
	if date {
		r, err := u.run(n.run)
		if err != nil {
			return nil, err
		}
		complete := "yes"
		if len(r.Skipped) > 0 {
			complete = "no" // folders stand as the run before left them
		}
		return []attribute{
			{"user.backupfs.run", strconv.Itoa(n.run)},
			{"user.backupfs.begun", r.Begun.UTC().Format(time.RFC3339)},
			{"user.backupfs.complete", complete},
		}, nil
	}
	m, ok, err := u.index.FileAt(n.id)
	date1 := m.FileMtime
	if n.kind == kindMessage {
		m, ok, err = u.index.MessageByID(n.id)
		date1 = m.InternalDate
	}
	if err != nil || !ok {
		return nil, err
	}
	return []attribute{
		{"user.cyrus.guid", m.GUID.String()},
		{"user.cyrus.internaldate", time.Unix(date1, 0).UTC().Format(time.RFC3339)},
	}, nil
}
