package remote

import (
	"crypto/sha1"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/source"
)

// TestAhead: mailboxes that are looked at ahead give what others give, however many at a time; one that is locked, that was passed over or changed
// meanwhile holds nobody up.
func TestAhead(t *testing.T) {
	defer func(n int) { maxAhead = n }(maxAhead)
	spool := mustSpool(t)
	spool.LockTimeout = 300 * time.Millisecond
	local, err := source.OpenLocal(t.Context(), spool)
	must(t, err)
	near, err := local.Mailboxes(t.Context(), "alice")
	must(t, err)
	dial := mustAgent(t, spool)
	for maxAhead = range 5 {
		maxAhead++
		l := &line{dial: dial}
		l.left.Store(unlimited)
		src := mustOpen(t, l.Dial, Options{})
		far, err := src.Mailboxes(t.Context(), "alice")
		must(t, err)
		same := func(i int) {
			t.Helper()
			want, got := mustDigests(t, local, near[i]), mustDigests(t, src, far[i])
			if len(want) < 2 || !slices.Equal(want, got) {
				t.Errorf("%d ahead: %s: %x, the spool has %x", maxAhead, far[i].Archived, got, want)
			}
		}
		paths, err := local.Config().Paths(near[1].Mailbox)
		must(t, err)
		locked, err := os.OpenFile(paths.Index, os.O_RDWR, 0)
		must(t, err, unix.FcntlFlock(locked.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
		src.Announce("alice", far)
		same(0)
		_, err = src.Fetch(t.Context(), far[1], none, nil)
		if !errors.Is(err, source.ErrBusy) {
			t.Errorf("locked: %v", err)
		}
		must(t, locked.Close())
		paths, err = local.Config().Paths(near[2].Mailbox)
		must(t, err)
		ix := boxIndex(t, paths)
		ix.HighestModseq++
		b, err := ix.Marshal()
		must(t, err, os.WriteFile(paths.Index, b, 0o600))
		if _, err := src.Fetch(t.Context(), far[2], none, nil); err != nil { // of before or of now
			t.Error(err)
		}
		asked := l.asked.Load()
		same(3)
		if asked = l.asked.Load() - asked; asked > 2 { // its messages, and perhaps a look at others
			t.Errorf("%d ahead: asked %d times", maxAhead, asked)
		}
		for _, i := range []int{5, 4, 6, 1, 2} {
			same(i)
		}
		src.Announce("alice", far[:3])
		same(0)
		src.Announce("alice", nil)
		same(1)
		must(t, src.Close())
	}
}

func none(*cyrus.Index, *cyrus.Record) bool { return false }

// mustDigests are those of all that a mailbox has.
func mustDigests(t *testing.T, src source.Source, m source.Mailbox) (digests []cyrus.GUID) {
	t.Helper()
	snap, err := src.Fetch(t.Context(), m, func(*cyrus.Index, *cyrus.Record) bool { return true }, func(m source.Message) error {
		b := make([]byte, m.Size)
		_, err := m.Body.ReadAt(b, 0)
		digests = append(digests, sha1.Sum(b))
		return err
	})
	must(t, err)
	for _, f := range snap.Files {
		digests = append(digests, sha1.Sum(f.Data))
	}
	return digests
}
