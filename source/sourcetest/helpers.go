package sourcetest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/internal/truth"
	"backupfs/source"
)

var date = time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC)

// mail composes a message; all differ.
func mail(n int) []byte {
	return fmt.Appendf(nil, "From: a@lab.test\r\nTo: b@lab.test\r\nSubject: message %d\r\nMessage-ID: <%d@lab.test>\r\n\r\n%s", n, n, strings.Repeat("All work.\r\n", n%50))
}

// user makes a user of this case, of a domain where the server has such, and logs him in.
func (s *suite) user(name string) (string, *cyruslab.Client) {
	s.Helper()
	name = s.prefix + name
	if s.lab.Options.VirtDomains != "" {
		name += "@example.org"
	}
	s.lab.MustAddUsers(s, name)
	return name, s.lab.MustLogin(s, name)
}

// box is the IMAP name of a user's folder.
func (s *suite) box(levels ...string) string {
	if !s.lab.Options.AltNamespace {
		levels = append([]string{"INBOX"}, levels...)
	}
	return strings.Join(levels, s.lab.Sep())
}

// appendTo appends messages first to last, an hour apart.
func (s *suite) appendTo(c *cyruslab.Client, box string, first, last int, flags ...string) {
	s.Helper()
	for n := first; n <= last; n++ {
		cyruslab.Must(s, c.Append(box, mail(n), date.Add(time.Duration(n)*time.Hour), flags...))
	}
}

// relist makes the source see mailboxes that came and went.
func (s *suite) relist() {
	s.Helper()
	if _, err := s.src.Users(s.Context()); err != nil {
		s.Fatal(err)
	}
}

// mailboxes of a user.
func (s *suite) mailboxes(user string) []source.Mailbox {
	s.Helper()
	boxes, err := s.src.Mailboxes(s.Context(), user)
	if err != nil {
		s.Fatal(err)
	}
	return boxes
}

// mailbox finds a mailbox of a user by its archived name.
func (s *suite) mailbox(user, archived string) source.Mailbox {
	s.Helper()
	boxes := s.mailboxes(user)
	for _, m := range boxes {
		if m.Archived == archived {
			return m
		}
	}
	s.Fatalf("%s has no %s: %v", user, archived, boxes)
	panic("unreachable")
}

// where says how a mailbox lies, as the server's list has it.
func (s *suite) where(m source.Mailbox) cyrus.Mailbox {
	s.Helper()
	listed, err := s.local.Find(s.Context(), m.Mailbox.Name, true)
	if err != nil {
		s.Fatal(err)
	}
	if !s.traits.Plain && m.Mailbox != listed.Mailbox {
		s.Errorf("listed as %+v, the server has %+v", m.Mailbox, listed.Mailbox)
	}
	return listed.Mailbox
}

// paths is where a mailbox lies.
func (s *suite) paths(m source.Mailbox) cyrus.Paths {
	s.Helper()
	p, err := s.conf.Paths(s.where(m))
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// file is where a message lies. Old messages go to the archive partition at once, where there is one.
func (s *suite) file(m source.Mailbox, uid uint32) string {
	s.Helper()
	p := s.paths(m)
	for _, dir := range []string{p.Data, p.Archive} {
		path := filepath.Join(dir, fmt.Sprintf("%d.", uid))
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	s.Fatalf("%s: UID %d has no file", m.Name, uid)
	panic("unreachable")
}

func all(*cyrus.Index, *cyrus.Record) bool  { return true }
func none(*cyrus.Index, *cyrus.Record) bool { return false }

// delivered is a message with its body read.
type delivered struct {
	source.Message
	sha1 string
}

// into makes a deliver that reads each message and collects it.
func into(list *[]delivered) func(source.Message) error {
	return func(m source.Message) error {
		h := sha1.New()
		n, err := io.Copy(h, io.NewSectionReader(m.Body, 0, 1<<40))
		if err != nil {
			return fmt.Errorf("UID %d: %w", m.Record.UID, err)
		}
		if n != m.Size {
			return fmt.Errorf("UID %d: %d bytes, Size says %d", m.Record.UID, n, m.Size)
		}
		*list = append(*list, delivered{m, hex.EncodeToString(h.Sum(nil))})
		return nil
	}
}

func uids(list []delivered) []uint32 {
	var u []uint32
	for _, d := range list {
		u = append(u, d.Record.UID)
	}
	return u
}

// mustFetch fetches what want asks for.
func (s *suite) mustFetch(m source.Mailbox, want func(*cyrus.Index, *cyrus.Record) bool) (*source.Snapshot, []delivered) {
	s.Helper()
	var got []delivered
	snap, err := s.src.Fetch(s.Context(), m, want, into(&got))
	if err != nil {
		s.Fatal(err)
	}
	return snap, got
}

// sameAsTruth fetches a mailbox whole and compares it with what IMAP says of it.
func (s *suite) sameAsTruth(m source.Mailbox, f *truth.Folder) {
	s.Helper()
	snap, got := s.mustFetch(m, all)
	if m.UniqueID != f.UniqueID || snap.Header.UniqueID != f.UniqueID || int64(snap.Index.UIDValidity) != f.UIDValidity || len(snap.Missing) > 0 {
		s.Errorf("%s: UniqueID %s, header %s, IMAP %s; UID validity %d, IMAP %d; missing %v", m.Name, m.UniqueID, snap.Header.UniqueID, f.UniqueID, snap.Index.UIDValidity, f.UIDValidity, snap.Missing)
	}
	if len(snap.Files) < 2 || snap.Files[0].Name != "cyrus.index" || snap.Files[1].Name != "cyrus.header" {
		s.Fatalf("%s: files %v", m.Name, snap.Files)
	}
	if ix, err := cyrus.ParseIndex(snap.Files[0].Data); err != nil || ix.HighestModseq != snap.Index.HighestModseq || ix.NumRecords != snap.Index.NumRecords {
		s.Errorf("%s: Index is not that of the file: %v", m.Name, err)
	}
	if !slices.IsSortedFunc(got, func(a, b delivered) int { return int(a.Record.UID) - int(b.Record.UID) }) {
		s.Errorf("%s: delivered in the order %v", m.Name, uids(got))
	}
	shown := map[uint32]*cyrus.Record{}
	for i := range snap.Index.Records {
		if r := &snap.Index.Records[i]; !r.Expunged() {
			shown[r.UID] = r
		}
	}
	live := map[uint32]delivered{}
	for _, d := range got {
		if live[d.Record.UID].Body != nil {
			s.Errorf("%s: UID %d delivered twice", m.Name, d.Record.UID)
		}
		if d.sha1 != d.Record.GUID.String() {
			s.Errorf("%s: UID %d: bytes and GUID differ", m.Name, d.Record.UID)
		}
		if shown[d.Record.UID] != nil {
			live[d.Record.UID] = d
		}
	}
	if len(shown) != len(f.Messages) || len(live) != len(f.Messages) {
		s.Errorf("%s: index shows %d messages, %d were delivered, IMAP has %d", m.Name, len(shown), len(live), len(f.Messages))
	}
	for _, want := range f.Messages {
		d, r := live[want.UID], shown[want.UID]
		if d.Body == nil || r == nil {
			s.Errorf("%s: UID %d is missing", m.Name, want.UID)
			continue
		}
		flags, wanted := r.FlagNames(snap.Header.Flags), slices.Clone(want.Flags)
		wanted = slices.DeleteFunc(wanted, func(f string) bool { return f == `\Recent` })
		slices.Sort(flags)
		slices.Sort(wanted)
		if d.sha1 != want.SHA1 || d.Size != want.Size || d.Mtime == 0 || d.Inode == 0 || r.InternalDate != int64(want.InternalDate) || !slices.Equal(flags, wanted) {
			s.Errorf("%s: UID %d: %d bytes, SHA-1 %s, mtime %d, internal date %d, flags %q; IMAP said %+v", m.Name, want.UID, d.Size, d.sha1, d.Mtime, r.InternalDate, flags, want)
		}
	}
}

// hold takes a write lock, as imapd does, and returns what gives it back.
func hold(t testing.TB, path string) (release func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return func() { _ = f.Close() }
}

// within says whether something holds before some time is over.
func within(patience time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if !time.Now().Before(deadline) {
			return false
		}
	}
	return true
}

// mustBeFree fails if somebody keeps a lock on one of the files. For a moment the server may have one, and a program that is just being started
// has our descriptors until it runs: those that are still ours are counted by mustHaveNoneOpen.
func (s *suite) mustBeFree(paths ...string) {
	s.Helper()
	for _, path := range paths {
		if !within(Patience, func() bool { return s.isFree(path) }) {
			s.Errorf("%s is locked", path)
		}
	}
}

func (s *suite) isFree(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	fl := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &fl); err != nil {
		s.Fatal(err)
	}
	return fl.Type == unix.F_UNLCK
}

// mustHaveNoneOpen fails if this process has files open below the server's folder, as soon as the source promises to have none.
func (s *suite) mustHaveNoneOpen() {
	s.Helper()
	if !within(s.traits.Release, func() bool { return s.descriptors() == 0 }) {
		s.Errorf("%d descriptors are open", s.descriptors())
	}
}

// descriptors counts what this process has open below the server's folder.
func (s *suite) descriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		s.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, s.lab.Dir+"/") {
			n++
		}
	}
	return n
}
