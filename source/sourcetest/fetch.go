package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// snapshots of everything a user has equal what IMAP says.
func (s *suite) snapshots() {
	alice, c := s.user("alice")
	work, odd := s.box("Work"), s.box("Entw&APw-rfe x")
	cyruslab.Must(s, c.Create(work), c.Create(odd), c.Create(s.box("Empty")), c.Create(s.box("Gone")))
	s.appendTo(c, "INBOX", 1, 11, `\Seen`, "$Label1")
	s.appendTo(c, work, 12, 14, `\Draft`)
	s.appendTo(c, s.box("Gone"), 15, 16)
	cyruslab.Must(s, c.Append(work, []byte(strings.Repeat("X: "+strings.Repeat("y", 97)+"\r\n", 20_000)), date), // 2 MB
		c.Append(work, mail(1), time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)), s.lab.Deliver(alice, mail(99)))
	_, err := c.Select("INBOX")
	cyruslab.Must(s, err, c.Store("2:4", "+FLAGS", `\Flagged`, "other"), c.Store("3", "-FLAGS", "$Label1"), c.Copy("1:5", odd), c.Move("6", work), c.Expunge("7,9"),
		c.Unselect(), c.Rename(work, s.box("Projects")), c.Delete(s.box("Gone")))
	told, err := s.lab.Truth(alice)
	cyruslab.Must(s, err)
	s.relist()
	boxes := s.mailboxes(alice)
	for _, f := range told.Users[alice].Folders {
		i := slices.IndexFunc(boxes, func(m source.Mailbox) bool { return m.Archived == f.DotName })
		if i < 0 {
			s.Fatalf("%s is not listed", f.DotName)
		}
		s.sameAsTruth(boxes[i], f)
	}
	for _, m := range boxes {
		if strings.HasPrefix(m.Archived, "DELETED.") {
			if _, got := s.mustFetch(m, all); len(got) != 2 {
				s.Errorf("%s: %v", m.Archived, uids(got))
			}
		}
	}
}

func (s *suite) want() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 10)
	m := s.mailbox(alice, "INBOX")
	asked := map[uint32]bool{}
	snap, got := s.mustFetch(m, func(ix *cyrus.Index, r *cyrus.Record) bool {
		asked[r.UID] = true
		return ix.Exists == 10 && r.UID%2 == 0
	})
	if !slices.Equal(uids(got), []uint32{2, 4, 6, 8, 10}) || len(asked) != 10 || snap.Index.Exists != 10 || len(snap.Missing) != 0 {
		s.Errorf("delivered %v of %v, %d exist, missing %v", uids(got), asked, snap.Index.Exists, snap.Missing)
	}
	if snap, got := s.mustFetch(m, none); len(got) != 0 || snap.Index.Exists != 10 || len(snap.Files) < 2 {
		s.Errorf("nothing wanted: %v, %+v", uids(got), snap)
	}
}

// expunged messages are delivered as long as their files are there.
func (s *suite) expunged() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 8)
	_, err := c.Select("INBOX")
	cyruslab.Must(s, err, c.Expunge("2:5"), c.Unselect())
	m := s.mailbox(alice, "INBOX")
	snap, got := s.mustFetch(m, all)
	want := []uint32{1, 2, 3, 4, 5, 6, 7, 8}
	if s.lab.Options.ImmediateExpunge {
		want = []uint32{1, 6, 7, 8}
	}
	if !slices.Equal(uids(got), want) || len(snap.Missing) != 0 {
		s.Errorf("delivered %v, want %v, missing %v", uids(got), want, snap.Missing)
	}
	for _, d := range got {
		if d.Record.Expunged() != (d.Record.UID >= 2 && d.Record.UID <= 5) {
			s.Errorf("UID %d: expunged %v", d.Record.UID, d.Record.Expunged())
		}
	}
	if s.lab.Options.ImmediateExpunge {
		return
	}
	// One that is unlinked though its record does not say so yet is silently not there.
	cyruslab.Must(s, os.Remove(s.file(m, 4)))
	if snap, got := s.mustFetch(m, all); !slices.Equal(uids(got), []uint32{1, 2, 3, 5, 6, 7, 8}) || len(snap.Missing) != 0 {
		s.Errorf("delivered %v, missing %v", uids(got), snap.Missing)
	}
	_, err = s.lab.Tool("cyr_expire", "-E", "0", "-X", "0", "-u", alice)
	cyruslab.Must(s, err)
	if snap, got := s.mustFetch(m, all); !slices.Equal(uids(got), []uint32{1, 6, 7, 8}) || len(snap.Missing) != 0 {
		s.Errorf("after the clean-up: delivered %v, missing %v", uids(got), snap.Missing)
	}
}

// archived messages lie elsewhere, and for a moment in both places or in the wrong one.
func (s *suite) archived() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 5)
	m := s.mailbox(alice, "INBOX")
	p := s.paths(m)
	if p.Archive == p.Data {
		if s.lab.Options.Archive {
			s.Fatal("no archive partition")
		}
		return
	}
	cyruslab.Must(s, c.Append("INBOX", mail(6), time.Time{}), c.Append("INBOX", mail(7), time.Time{})) // new: not archived yet
	snap, _ := s.mustFetch(m, none)
	n := 0
	for _, r := range snap.Index.Records {
		if r.SystemFlags&cyrus.FlagArchived != 0 {
			n++
		}
	}
	if n != 5 {
		s.Fatalf("%d, not 5 messages are archived", n)
	}
	told, err := s.lab.Truth(alice)
	cyruslab.Must(s, err)
	s.sameAsTruth(m, told.Users[alice].Folders["INBOX"])
	cyruslab.Must(s, os.Rename(filepath.Join(p.Archive, "3."), filepath.Join(p.Data, "3.")), os.Rename(filepath.Join(p.Data, "6."), filepath.Join(p.Archive, "6.")))
	s.sameAsTruth(m, told.Users[alice].Folders["INBOX"])
}

func (s *suite) missing() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 9)
	m := s.mailbox(alice, "INBOX")
	three, five, seven := s.file(m, 3), s.file(m, 5), s.file(m, 7)
	cyruslab.Must(s, os.Remove(three), os.Remove(five), os.Mkdir(five, 0o700), os.Remove(seven), os.Symlink("/etc/passwd", seven))
	snap, got := s.mustFetch(m, all)
	if !slices.Equal(uids(got), []uint32{1, 2, 4, 6, 8, 9}) || len(snap.Missing) != 3 || snap.Missing[3] == nil || snap.Missing[5] == nil || snap.Missing[7] == nil {
		s.Errorf("delivered %v, missing %v", uids(got), snap.Missing)
	}
	named := "3." // the file
	if s.traits.Plain {
		named = "message 3"
	}
	if !errors.Is(snap.Missing[3], os.ErrNotExist) || !strings.Contains(snap.Missing[3].Error(), named) {
		s.Errorf("reason: %v", snap.Missing[3])
	}
	if snap, _ := s.mustFetch(m, func(_ *cyrus.Index, r *cyrus.Record) bool { return r.UID != 3 }); snap.Missing[3] != nil {
		s.Error("missing, but not wanted")
	}
}

// readError: an error of Body.ReadAt that deliver returns is of this message only.
func (s *suite) readError() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 7)
	m := s.mailbox(alice, "INBOX")
	var got []uint32
	snap, err := s.src.Fetch(s.Context(), m, all, func(m source.Message) error {
		got = append(got, m.Record.UID)
		if m.Record.UID == 2 {
			_, err := m.Body.ReadAt(make([]byte, 1), -1)
			if err == nil {
				s.Error("read at -1")
			}
			return fmt.Errorf("storing: %w", err)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []uint32{1, 2, 3, 4, 5, 6, 7}) || len(snap.Missing) != 1 || snap.Missing[2] == nil {
		s.Fatalf("%v, delivered %v, %+v", err, got, snap)
	}
}

func (s *suite) busy() {
	alice, c := s.user("alice")
	cyruslab.Must(s, c.Create(s.box("Other")))
	s.relist()
	s.appendTo(c, "INBOX", 1, 2)
	m, other := s.mailbox(alice, "INBOX"), s.mailbox(alice, "INBOX.Other")
	s.mustFetch(m, none) // makes the lock file
	hasty := s.open(LockTimeout)
	for _, path := range []string{s.paths(m).Lock, s.paths(m).Index} {
		release := hold(s, path)
		took := Patience
		for tries := 0; took > LockTimeout+5*time.Second && tries < 10; tries++ { // on a busy machine something else may take longer
			began := time.Now()
			_, err := hasty.Fetch(s.Context(), m, all, func(source.Message) error { return errors.New("delivered") })
			if took = time.Since(began); err == nil || !s.traits.Plain && !errors.Is(err, source.ErrBusy) || took < LockTimeout {
				s.Errorf("%s is locked: %v after %v", path, err, took)
			}
		}
		if took > LockTimeout+5*time.Second {
			s.Errorf("%s is locked: given up after %v", path, took)
		}
		s.mustFetch(other, all)
		if path == s.paths(m).Index {
			s.mustBeFree(s.paths(m).Lock)
		}
		freed := make(chan struct{})
		time.AfterFunc(LockTimeout/3, func() { release(); close(freed) })
		if _, got := s.mustFetch(m, all); len(got) != 2 {
			s.Errorf("once it is free: %v", uids(got))
		}
		<-freed
	}
}

func (s *suite) gone() {
	alice, c := s.user("alice")
	cyruslab.Must(s, c.Create(s.box("A")), c.Create(s.box("B")))
	s.appendTo(c, s.box("B"), 1, 2)
	s.relist()
	a, b := s.mailbox(alice, "INBOX.A"), s.mailbox(alice, "INBOX.B")
	inPlace := s.lab.Options.DelayedDelete && !s.where(a).Legacy // then it has another name only
	cyruslab.Must(s, c.Delete(s.box("A")), c.Delete(s.box("B")), c.Create(s.box("B")))
	deliver := func(source.Message) error { return errors.New("delivered") }
	for _, m := range []source.Mailbox{a, b} {
		_, err := s.src.Fetch(s.Context(), m, none, deliver)
		gone := errors.Is(err, source.ErrGone)
		if gone == inPlace && !(gone && s.traits.ByName) || !gone && err != nil {
			s.Errorf("%s: %v", m.Name, err)
		}
	}
	// What the server knows, but has lost, is not gone.
	s.relist()
	m := s.mailbox(alice, "INBOX.B")
	p := s.paths(m)
	cyruslab.Must(s, os.Remove(p.Index))
	if _, err := s.src.Fetch(s.Context(), m, none, deliver); err == nil || errors.Is(err, source.ErrGone) || !s.traits.Plain && !strings.Contains(err.Error(), "cyrus.index") {
		s.Errorf("no cyrus.index: %v", err)
	}
}

func (s *suite) deliverError() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 5)
	m := s.mailbox(alice, "INBOX")
	disk := errors.New("disk is full")
	n := 0
	_, err := s.src.Fetch(s.Context(), m, all, func(source.Message) error {
		if n++; n == 2 {
			return disk
		}
		return nil
	})
	if err != disk || n != 2 {
		s.Errorf("%v after %d messages", err, n)
	}
	s.mustHaveNoneOpen()
	s.mustBeFree(s.paths(m).Lock, s.paths(m).Index)
}

// cancel after each message in turn, and while a lock is waited for: neither locks nor descriptors stay.
func (s *suite) cancel() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 8)
	m := s.mailbox(alice, "INBOX")
	p := s.paths(m)
	for stop := range 9 {
		ctx, cancel := context.WithCancel(s.Context())
		n := 0
		if stop == 0 {
			cancel()
		}
		_, err := s.src.Fetch(ctx, m, all, func(source.Message) error {
			if n++; n == stop {
				cancel()
			}
			return nil
		})
		cancel()
		if n != stop || stop < 8 && !errors.Is(err, context.Canceled) {
			s.Errorf("cancelled at %d: %v, %d delivered", stop, err, n)
		}
		s.mustHaveNoneOpen()
		if stop > 0 {
			s.mustBeFree(p.Lock, p.Index)
		}
	}
	for _, path := range []string{p.Lock, p.Index} {
		release := hold(s, path)
		ctx, cancel := context.WithTimeout(s.Context(), LockTimeout/3)
		_, err := s.src.Fetch(ctx, m, all, func(source.Message) error { return nil })
		cancel()
		release()
		if !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("cancelled while waiting: %v", err)
		}
		s.mustHaveNoneOpen()
		s.mustBeFree(p.Lock, p.Index)
	}
}

// noLockWhileDelivering: what takes long is deliver; the server goes on meanwhile, even deletes the mailbox, and what was
// pinned is still read.
func (s *suite) noLockWhileDelivering() {
	alice, c := s.user("alice")
	cyruslab.Must(s, c.Create(s.box("Busy")))
	s.relist()
	s.appendTo(c, s.box("Busy"), 1, 3)
	m := s.mailbox(alice, "INBOX.Busy")
	p := s.paths(m)
	var got []delivered
	collect := into(&got)
	snap, err := s.src.Fetch(s.Context(), m, all, func(msg source.Message) error {
		if msg.Record.UID == 1 {
			s.mustBeFree(p.Lock, p.Index)
			cyruslab.Must(s, c.Delete(s.box("Busy")))
		}
		return collect(msg)
	})
	if err != nil || !slices.Equal(uids(got), []uint32{1, 2, 3}) || snap.Index.Exists != 3 {
		s.Errorf("%v, delivered %v", err, uids(got))
	}
	for _, d := range got {
		if d.sha1 != d.Record.GUID.String() {
			s.Errorf("UID %d: bytes and GUID differ", d.Record.UID)
		}
	}
}

// concurrent runs of several users, beside their own traffic.
func (s *suite) concurrent() {
	clients := map[string]*cyruslab.Client{}
	for _, name := range []string{"a", "b", "c"} {
		user, c := s.user(name)
		s.appendTo(c, "INBOX", 1, 4)
		clients[user] = c
	}
	var g errgroup.Group
	for user, c := range clients {
		g.Go(func() error {
			for n := range 10 {
				if err := c.Append("INBOX", mail(n), date); err != nil {
					return err
				}
			}
			return nil
		})
		g.Go(func() error {
			for range 5 {
				boxes, err := s.src.Mailboxes(s.Context(), user)
				if err != nil {
					return err
				}
				var got []delivered
				snap, err := s.src.Fetch(s.Context(), boxes[0], all, into(&got))
				if err != nil {
					return err
				}
				if int(snap.Index.Exists) != len(got) || len(snap.Missing) > 0 {
					return fmt.Errorf("%s: %d exist, %d delivered, missing %v", user, snap.Index.Exists, len(got), snap.Missing)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		s.Error(err)
	}
}
