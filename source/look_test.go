package source_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/lock"
	"backupfs/source"
	"backupfs/source/sourcetest"
)

// mustInbox opens a source, and finds the INBOX.
func mustInbox(t *testing.T, lab *cyruslab.Lab) (*source.Local, source.Mailbox, cyrus.Paths) {
	t.Helper()
	l := mustOpen(t, lab, "")
	m := mustMailboxes(t, l)[0]
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	p, err := conf.Paths(m.Mailbox)
	cyruslab.Must(t, err)
	return l, m, p
}

// changeIndex writes an index anew, with right checksums.
func changeIndex(t *testing.T, path string, change func(*cyrus.Index)) {
	t.Helper()
	b, err := os.ReadFile(path)
	cyruslab.Must(t, err)
	ix, err := cyrus.ParseIndex(b)
	cyruslab.Must(t, err)
	change(ix)
	b, err = ix.Marshal()
	cyruslab.Must(t, err, os.WriteFile(path, b, 0o600))
}

// flip changes one byte of a file.
func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	cyruslab.Must(t, err)
	b[at] ^= 0x40
	cyruslab.Must(t, os.WriteFile(path, b, 0o600))
}

// TestDamagedIndex: an index whose header cannot be right is refused; a record that may be wrong is used, and told.
func TestDamagedIndex(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	l, m, p := mustInbox(t, lab)
	whole, err := os.ReadFile(p.Index)
	cyruslab.Must(t, err)
	const uidValidity, flags = 48, 16
	for name, damage := range map[string]func(){
		"checksum of its header": func() { flip(t, p.Index, uidValidity) },
		"says 6 messages":        func() { changeIndex(t, p.Index, func(ix *cyrus.Index) { ix.Exists = 6 }) },
		"has 3":                  func() { changeIndex(t, p.Index, func(ix *cyrus.Index) { ix.Records = ix.Records[:3] }) },
	} {
		damage()
		_, err := l.Fetch(t.Context(), m, everything, func(source.Message) error { return errors.New("delivered") })
		if !errors.Is(err, cyrus.ErrDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		cyruslab.Must(t, os.WriteFile(p.Index, whole, 0o600))
	}
	ix, err := cyrus.ParseIndex(whole)
	cyruslab.Must(t, err)
	flip(t, p.Index, int(ix.StartOffset+ix.RecordSize)+int(ix.RecordSize)-1) // the checksum of the second record
	n := 0
	snap, err := l.Fetch(t.Context(), m, everything, func(source.Message) error { n++; return nil })
	if err != nil || n != 5 || len(snap.Problems) != 1 || !strings.HasSuffix(snap.Problems[0].Error(), "UIDs 2") {
		t.Errorf("%v, %d delivered, %+v", err, n, snap)
	}
}

// TestOtherUniqueID: a mailbox whose header does not have the UniqueID of the server's list is taken for what the list says.
func TestOtherUniqueID(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{LegacyDirs: true})
	l, m, p := mustInbox(t, lab)
	b, err := os.ReadFile(p.Header)
	other := strings.Replace(string(b), m.UniqueID, "X"+m.UniqueID[1:], 1) // Cyrus makes none with a capital letter
	cyruslab.Must(t, err, os.WriteFile(p.Header, []byte(other), 0o600))
	n := 0
	snap, err := l.Fetch(t.Context(), m, everything, func(source.Message) error { n++; return nil })
	if err != nil || n != 5 || len(snap.Problems) != 1 || !strings.Contains(snap.Problems[0].Error(), m.UniqueID) {
		t.Errorf("%v, %d delivered, %+v", err, n, snap)
	}
}

// free says that the server could take a write lock.
func free(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	cyruslab.Must(t, err)
	defer f.Close()
	fl := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	cyruslab.Must(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &fl))
	return fl.Type == unix.F_UNLCK
}

// TestWantUnderNoLock: what is wanted is decided under no lock, and once, though the messages are delivered in several rounds.
func TestWantUnderNoLock(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	l, m, p := mustInbox(t, lab)
	asked, n := 0, 0
	_, err := l.Fetch(t.Context(), m, func(*cyrus.Index, *cyrus.Record) bool {
		asked++
		if !free(t, p.Lock) || !free(t, p.Index) {
			t.Error("asked under a lock")
		}
		return true
	}, func(source.Message) error { n++; return nil })
	if err != nil || asked != 5 || n != 5 {
		t.Errorf("%v, asked %d times, %d delivered", err, asked, n)
	}
}

// TestIndexChangesAlways: where the index is another each time that what is wanted has been found out, the mailbox stays locked meanwhile, and
// the index does not.
func TestIndexChangesAlways(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	l, m, p := mustInbox(t, lab)
	looks, locked, n := 0, 0, 0
	var last *cyrus.Index
	snap, err := l.Fetch(t.Context(), m, func(ix *cyrus.Index, _ *cyrus.Record) bool {
		if ix != last {
			last, looks = ix, looks+1
			cyruslab.Must(t, os.Chtimes(p.Index, time.Time{}, time.Unix(int64(looks), 0)))
			if !free(t, p.Index) {
				t.Error("the index is locked")
			}
			if !free(t, p.Lock) {
				locked++
			}
		}
		return true
	}, func(source.Message) error { n++; return nil })
	if err != nil || n != 5 || len(snap.Missing) > 0 || locked == 0 || looks-locked != 3 {
		t.Errorf("%v, %d looks, %d of them under the mailbox's lock, %d delivered", err, looks, locked, n)
	}
}

// TestUserFileLocked: a file that cannot be read says why, and the other is read. That the server has a lock is no word about the store's.
func TestUserFileLocked(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{LegacyDirs: true})
	cyruslab.Must(t, lab.MustLogin(t, "alice").Subscribe("INBOX.Work"))
	_, m, p := mustInbox(t, lab)
	l := mustOpenFor(t, lab, "", sourcetest.LockTimeout)
	dir := lab.Dir + "/conf/user/a/"
	cyruslab.Must(t, os.RemoveAll(dir+"alice.seen"), os.Mkdir(dir+"alice.seen", 0o700))
	for _, path := range []string{dir + "alice.sub", p.Index} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		cyruslab.Must(t, err)
		defer f.Close()
		cyruslab.Must(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}))
	}
	files, err := l.UserFiles(t.Context(), "alice", nil)
	if err != nil || len(files) != 2 || files[0].Name != "seen" || files[0].Err == nil || files[1].Name != "sub" ||
		!errors.Is(files[1].Err, source.ErrBusy) || errors.Is(files[1].Err, lock.ErrBusy) {
		t.Errorf("%v, %+v", err, files)
	}
	if _, err := l.Fetch(t.Context(), m, nothing, nil); !errors.Is(err, source.ErrBusy) || errors.Is(err, lock.ErrBusy) {
		t.Errorf("mailbox: %v", err)
	}
}
