package source_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// TestPin: pinned messages can be read in any order, again and again, and after the server has unlinked them.
func TestPin(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		lab := mustServer(t, cyruslab.Options{LegacyDirs: legacy, ImmediateExpunge: true})
		l := mustOpen(t, lab, "")
		inbox := mustMailboxes(t, l)[0]
		p, err := l.Pin(t.Context(), inbox, []uint32{5, 9, 5, 1, 2}) // MaxPins is 3
		cyruslab.Must(t, err)
		c := lab.MustLogin(t, "alice")
		_, err = c.Select("INBOX")
		cyruslab.Must(t, err, c.Expunge("1:5"), c.Unselect())
		for _, uid := range []uint32{5, 1, 5} {
			m, err := p.Message(uid)
			cyruslab.Must(t, err)
			b, err := io.ReadAll(io.NewSectionReader(m.Body, 0, m.Size))
			if want := fmt.Sprintf("Subject: %d\r\n\r\nhello\r\n", uid-1); err != nil || string(b) != want || m.Record.UID != uid {
				t.Errorf("message %d: %q, %v", uid, b, err)
			}
		}
		for uid, want := range map[uint32]error{9: fs.ErrNotExist, 2: source.ErrUnpinned, 3: source.ErrUnpinned} {
			if _, err := p.Message(uid); !errors.Is(err, want) {
				t.Errorf("message %d: %v, want %v", uid, err, want)
			}
		}
		if p.Header.UniqueID != inbox.UniqueID {
			t.Errorf("header of %q", p.Header.UniqueID)
		}
		p.Close()
		p.Close()
		if p, err = l.Pin(t.Context(), inbox, []uint32{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Message(1); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an expunged message: %v", err)
		}
		p.Close()
		cyruslab.Must(t, c.Delete("INBOX.Work"))
		if _, err := l.Pin(t.Context(), mustMailboxes(t, l)[1], nil); !errors.Is(err, source.ErrGone) {
			t.Errorf("a deleted mailbox: %v", err)
		}
	}
}

// TestStats: what they tell is what a Fetch finds, as long as nothing changes.
func TestStats(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	c := lab.MustLogin(t, "alice")
	cyruslab.Must(t, c.Subscribe("INBOX.Work"), c.SetMetadata("INBOX", "/shared/comment", "x"))
	l := mustOpen(t, lab, "")
	inbox := mustMailboxes(t, l)[0]
	header, stats, err := l.MetaStats(t.Context(), inbox)
	cyruslab.Must(t, err)
	snap, err := l.Fetch(t.Context(), inbox, nothing, nil)
	cyruslab.Must(t, err)
	files, err := l.UserFiles(t.Context(), "alice", nil)
	cyruslab.Must(t, err)
	userStats, err := l.UserFileStats(t.Context(), "alice")
	cyruslab.Must(t, err)
	told := map[source.Stat]bool{}
	for _, st := range append(stats, userStats...) {
		told[st] = true
	}
	found := append(snap.Files, files...)
	for _, f := range found {
		if st := source.StatOf(f); !told[st] {
			t.Errorf("%+v is not among %v", st, told)
		}
	}
	if len(told) != len(found) || len(files) == 0 || header.UniqueID != inbox.UniqueID {
		t.Errorf("%v, header %+v", told, header)
	}
	if _, err := l.UserFileStats(t.Context(), "nobody"); !errors.Is(err, source.ErrNoUser) {
		t.Error(err)
	}
}

// TestFind: a mailbox is found in a list as old as it may be, and in a new one.
func TestFind(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf, MaxListAge: time.Hour})
	cyruslab.Must(t, err)
	boxes, err := l.Listed(t.Context(), "alice")
	if err != nil || len(boxes) != 2 {
		t.Fatal(boxes, err)
	}
	c := lab.MustLogin(t, "alice")
	cyruslab.Must(t, c.Create("INBOX.New"), c.Delete("INBOX.Work"))
	for _, find := range []struct {
		name         cyrus.Name
		fresh, found bool
	}{{"user.alice.New", false, false}, {"user.alice.Work", false, true}, {"user.alice.New", true, true}, {"user.alice.Work", true, false}} {
		m, err := l.Find(t.Context(), find.name, find.fresh)
		if found := err == nil && m.Mailbox.Name == find.name; found != find.found || !found && !errors.Is(err, source.ErrGone) {
			t.Errorf("%+v: %v, %v", find, m, err)
		}
	}
	inboxes, err := l.Inboxes(t.Context())
	if err != nil || len(inboxes) != 1 || inboxes[0].Mailbox.Name != "user.alice" {
		t.Errorf("%v, %v", inboxes, err)
	}
}

// TestListedForCertain: a list that may lack a mailbox is none.
func TestListedForCertain(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{LegacyDirs: true})
	l := mustOpen(t, lab, source.NoMboxlist)
	boxes, err := l.Listed(t.Context(), "alice")
	if err != nil || len(boxes) != 2 {
		t.Fatal(boxes, err)
	}
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	p, err := conf.Paths(boxes[1].Mailbox)
	cyruslab.Must(t, err, os.Remove(p.Header))
	if boxes, err := mustOpen(t, lab, source.NoMboxlist).Listed(t.Context(), "alice"); err == nil {
		t.Errorf("listed without a header: %v", boxes)
	}
}
