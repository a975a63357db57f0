package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"backupfs/cyrus"
	"backupfs/source"
)

// fakeServer is a source.Source in memory: the model that archives are compared with.
type fakeServer struct {
	boxes []*fakeBox
	files map[string][]byte // seen, sub
	pins  int               // messages delivered a round

	unsure   bool // a partition may not be mounted
	noSeen   bool // the user's seen is locked
	changing bool // files are others each time they are read

	between func(*fakeBox)     // called between two rounds of a Fetch
	listing func()             // called before a list of mailboxes is made
	fetched map[string]boxView // of the Fetches since the last reset, by id
	listed  map[string]string  // what the last Mailboxes said: name to id
	gen     int
	serial  int
}

const metadataFile = "cyrus.mailbox_annotations"

// fakeBox is one mailbox.
type fakeBox struct {
	id, name    string
	version     uint32
	validity    uint32
	nextUID     uint32
	msgs        []*fakeMsg
	keywords    string
	annotations []byte
	metadata    []byte
	unknown     bool   // its METADATA cannot be read
	gen         int    // changes with the mailbox
	racy        bool   // its fingerprint is not to be trusted
	busy        bool   // somebody holds its locks
	hidden      bool   // it is there, and no list has it
	renameTo    string // it gets this name when it is fetched, and is gone under the old one
}

// fakeMsg is one message: what the index says, and the file.
type fakeMsg struct {
	rec  cyrus.Record
	body []byte // nil: there is no file
	kept []byte // of a file that is gone, but was there in an earlier run

	inRun bool // a run has its bytes

	shrunk     int64 // the file was so much longer when it was opened
	unreadable bool  // there is a file (body is nil all the same), but reading it fails
}

// bytes are what a date has to show; nil if nobody has them.
func (m fakeMsg) bytes() []byte {
	if m.body != nil {
		return m.body
	}
	return m.kept
}

// boxView is a mailbox at one moment.
type boxView struct {
	id          string
	fingerprint string
	files       map[string][]byte
	unknown     bool // what files has of METADATA could not be read
	msgs        []fakeMsg
}

func newFakeServer() *fakeServer {
	s := &fakeServer{pins: 3, files: map[string][]byte{"sub": []byte("INBOX\t\n")}, between: func(*fakeBox) {}, listing: func() {}}
	s.reset()
	s.create("INBOX", 17)
	for _, b := range []*fakeBox{s.create("INBOX.A.Sub", 20), s.create("INBOX.Old", 9)} {
		for range 4 {
			s.addGood(b)
		}
	}
	return s
}

func (s *fakeServer) reset() { s.fetched = make(map[string]boxView) }

func (s *fakeServer) create(name string, version uint32) *fakeBox {
	s.serial++
	b := &fakeBox{id: fmt.Sprintf("id-%d", s.serial), name: name, version: version, validity: 1254175711, nextUID: 1}
	s.boxes = append(s.boxes, b)
	s.changed(b)
	return b
}

func (s *fakeServer) changed(b *fakeBox) {
	s.gen++
	b.gen = s.gen
}

func (s *fakeServer) byName(name string) *fakeBox {
	i := slices.IndexFunc(s.boxes, func(b *fakeBox) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return s.boxes[i]
}

// add appends a message whose index record claims the digest and size of claim.
func (s *fakeServer) add(b *fakeBox, body, claim []byte) *fakeMsg {
	m := &fakeMsg{body: body, rec: cyrus.Record{
		UID: b.nextUID, Size: uint64(len(claim)), InternalDate: 1254000000 + int64(b.nextUID), GUID: sha1.Sum(claim), Modseq: uint64(s.gen),
	}}
	if b.version == 9 {
		m.rec.GUID = cyrus.GUID{}
	}
	b.nextUID++
	b.msgs = append(b.msgs, m)
	s.changed(b)
	return m
}

// addGood appends a message whose file is right.
func (s *fakeServer) addGood(b *fakeBox) {
	body := s.newBody()
	s.add(b, body, body)
}

// newBody makes bytes that no message had before.
func (s *fakeServer) newBody() []byte {
	s.serial++
	return fmt.Appendf(nil, "Message-ID: <%06d@example.com>\r\n\r\nHello.\r\n", s.serial)
}

func (b *fakeBox) view() boxView {
	ix := &cyrus.Index{Version: b.version, UIDValidity: b.validity, LastUID: b.nextUID - 1}
	v := boxView{id: b.id, fingerprint: b.fingerprint(), files: map[string][]byte{}, unknown: b.unknown}
	for _, m := range b.msgs {
		ix.Records = append(ix.Records, m.rec)
		v.msgs = append(v.msgs, *m)
	}
	raw, err := ix.Marshal()
	if err != nil {
		panic(err) // the model made something that no index can hold
	}
	v.files["cyrus.index"] = raw
	v.files["cyrus.header"] = []byte("\xa1\x02\x8b\x0dCyrus mailbox header\nx\ny\n\t" + b.id + "\n" + b.keywords + "\nbrong\tlrs\t\n")
	if b.annotations != nil {
		v.files["cyrus.annotations"] = b.annotations
	}
	if b.metadata != nil {
		v.files[metadataFile] = b.metadata
	}
	return v
}

func (s *fakeServer) Name() string { return "imap.example.com" }
func (s *fakeServer) Close() error { return nil }

func (s *fakeServer) Users(context.Context) ([]source.User, error) {
	return []source.User{{Name: "brong", DriveUnit: "default"}}, nil
}

func (s *fakeServer) Mailboxes(_ context.Context, user string) ([]source.Mailbox, error) {
	s.listing()
	if user != "brong" || len(s.boxes) == 0 {
		return nil, fmt.Errorf("%s: %w", user, source.ErrNoUser)
	}
	s.listed = make(map[string]string)
	var boxes []source.Mailbox
	for _, b := range s.boxes {
		if b.hidden {
			continue
		}
		s.listed[b.name] = b.id
		boxes = append(boxes, source.Mailbox{
			Mailbox:  cyrus.Mailbox{Name: cyrus.Name(b.name), UniqueID: b.id},
			Archived: b.name, Fingerprint: b.fingerprint(),
		})
	}
	slices.SortFunc(boxes, func(a, b source.Mailbox) int { return strings.Compare(a.Archived, b.Archived) })
	return boxes, nil
}

func (s *fakeServer) Vanished(_ context.Context, _ string, had []source.Known) ([]error, error) {
	why := make([]error, len(had))
	for i, k := range had {
		if s.stays(k.UniqueID) {
			why[i] = errors.New("its files are there")
		}
	}
	return why, nil
}

// stays says that a mailbox that is not listed must not be taken for deleted.
func (s *fakeServer) stays(id string) bool {
	i := slices.IndexFunc(s.boxes, func(b *fakeBox) bool { return b.id == id })
	return i < 0 && s.unsure || i >= 0 && s.boxes[i].hidden
}

func (b *fakeBox) fingerprint() string {
	if b.racy {
		return ""
	}
	if b.unknown {
		return fmt.Sprintf("%d-unknown", b.gen)
	}
	return fmt.Sprint(b.gen)
}

func (s *fakeServer) UserFiles(_ context.Context, _ string, known map[string]cyrus.GUID) ([]source.File, error) {
	var files []source.File
	for name, data := range s.files {
		f := source.File{Name: name, Data: data, Mtime: 1254000000, SHA1: sha1.Sum(data)}
		if known[name] == f.SHA1 {
			f.Data = nil
		}
		if s.noSeen && name == "seen" {
			f = source.File{Name: name, Err: source.ErrBusy}
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *fakeServer) Fetch(ctx context.Context, m source.Mailbox, want func(*cyrus.Index, *cyrus.Record) bool,
	deliver func(source.Message) error) (*source.Snapshot, error) {
	b := s.byName(m.Archived)
	switch {
	case b == nil || b.id != m.UniqueID:
		return nil, fmt.Errorf("%s: %w", m.Name, source.ErrGone)
	case b.renameTo != "":
		b.name, b.renameTo = b.renameTo, ""
		return nil, fmt.Errorf("%s: %w", m.Name, source.ErrGone)
	case b.busy:
		return nil, fmt.Errorf("%s: %w", m.Name, source.ErrBusy)
	}
	handled, validity := make(map[uint32]bool), b.validity
	for {
		v := b.view()
		if validity != b.validity {
			validity = b.validity
			clear(handled)
		}
		ix, err := cyrus.ParseIndex(v.files["cyrus.index"])
		if err != nil {
			return nil, err
		}
		snap := &source.Snapshot{Index: ix, Fingerprint: v.fingerprint, Missing: make(map[uint32]error)}
		var pinned []fakeMsg
		for i := range ix.Records {
			rec := &ix.Records[i]
			switch {
			case rec.Unlinked() || handled[rec.UID] || len(pinned) > s.pins || !want(ix, rec):
			case v.msgs[i].body == nil && !v.msgs[i].unreadable:
				snap.Missing[rec.UID] = fs.ErrNotExist
			default:
				pinned = append(pinned, v.msgs[i])
			}
		}
		for _, p := range pinned[:min(len(pinned), s.pins)] {
			handled[p.rec.UID] = true
			msg := source.Message{Record: p.rec, Size: int64(len(p.body)) + p.shrunk, Mtime: p.rec.InternalDate, Inode: 7, Body: bytes.NewReader(p.body)}
			switch {
			case p.unreadable:
				msg.Body = badDisk{}
			case s.changing:
				msg.Body = &changing{ReaderAt: msg.Body}
			}
			if err := deliver(msg); err != nil {
				return nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(pinned) > s.pins {
			s.between(b)
			continue
		}
		for _, name := range folderFiles {
			if name == metadataFile && v.unknown {
				snap.Files = append(snap.Files, source.File{Name: name, Err: source.ErrBusy})
			} else if data, ok := v.files[name]; ok {
				snap.Files = append(snap.Files, source.File{Name: name, Data: data, Mtime: 1254000000, Inode: 8})
			}
		}
		for _, m := range b.msgs {
			m.inRun = true
		}
		s.fetched[b.id] = v
		return snap, nil
	}
}

// badDisk cannot be read.
type badDisk struct{}

func (badDisk) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// changing has other bytes each time its first ones are read.
type changing struct {
	io.ReaderAt
	n byte
}

func (c *changing) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	if off == 0 && n > 0 {
		p[0], c.n = p[0]+c.n, c.n+1
	}
	return n, err
}
