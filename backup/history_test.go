package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// TestHistories makes random histories of a server, a run after each day, and compares every date with the server at that time.
func TestHistories(t *testing.T) {
	testenv.SetMemory(t)
	root := indextest.Store(t)
	n := 0
	testenv.Check(t, func(t *rapid.T) {
		n++
		m := newModel(t, filepath.Join(root, fmt.Sprint(n)))
		defer func() { _ = os.RemoveAll(m.st.Root) }()
		for range rapid.IntRange(2, 6).Draw(t, "days") {
			day(t, m.server)
			m.run(t)
			m.server.calm()
		}
		m.check(t)
		// The index is a cache: without it, and rebuilt from the archive, the dates are the same.
		u := m.user(t)
		if err := index.Check(context.Background(), mustArchive(t, m), u.Index()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(u.Index()); err != nil {
			t.Fatal(err)
		}
		day(t, m.server)
		m.run(t)
		m.check(t)
	})
}

func mustArchive(t rapid.TB, m *model) string {
	t.Helper()
	path, err := m.user(t).Archive()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var names = []string{"INBOX.A", "INBOX.B", "INBOX.A.Sub", "INBOX.v1^2 notes", "INBOX.Entw&APw-rfe", "DELETED.user.brong.A.6B054A70"}

// day is what happens on a server between two runs.
func day(t *rapid.T, s *fakeServer) {
	for range rapid.IntRange(0, 8).Draw(t, "events") {
		e := events[rapid.IntRange(0, len(events)-1).Draw(t, "event")]
		t.Log(e.name)
		e.happens(t, s, anyOf(t, s.boxes))
	}
	meanwhile := rapid.SliceOfN(rapid.IntRange(0, 5), 8, 8).Draw(t, "meanwhile") // drawn here: a run must not be left in its midst
	s.between = func(b *fakeBox) {
		if len(meanwhile) == 0 {
			return
		}
		switch meanwhile[0] {
		case 0:
			s.addGood(b)
		case 1:
			s.renumber(b)
		}
		meanwhile = meanwhile[1:]
	}
}

// renumber is what reconstruct may do to a mailbox.
func (s *fakeServer) renumber(b *fakeBox) {
	b.validity++
	slices.Reverse(b.msgs)
	for i, m := range b.msgs {
		m.rec.UID = uint32(i + 1)
	}
	s.changed(b)
}

// claimBody makes the record right.
func (m *fakeMsg) claimBody(b *fakeBox) {
	m.rec.Size = uint64(len(m.body))
	if b.version > 9 {
		m.rec.GUID = sha1.Sum(m.body)
	}
}

var events = []struct {
	name    string
	happens func(t *rapid.T, s *fakeServer, b *fakeBox)
}{
	{"append", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		for range rapid.IntRange(1, 9).Draw(t, "messages") {
			s.addGood(b)
		}
	}},
	{"append large", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		body := bytes.Repeat(s.newBody(), smallMessage/20)[:smallMessage+rapid.IntRange(-1, 1).Draw(t, "over")]
		s.add(b, body, body)
	}},
	{"append empty", func(t *rapid.T, s *fakeServer, b *fakeBox) { s.add(b, []byte{}, nil) }},
	{"copy", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		from := anyOf(t, s.boxes)
		for _, m := range from.msgs {
			if m.body != nil && uint64(len(m.body)) == m.rec.Size && (from.version == 9 || m.rec.GUID == sha1.Sum(m.body)) {
				s.add(b, m.body, m.body)
			}
		}
	}},
	{"append damaged", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		body, claim := s.newBody(), s.newBody()
		if rapid.Bool().Draw(t, "another size") {
			claim = append(claim, '.')
		}
		s.add(b, body, claim)
	}},
	{"append missing", func(t *rapid.T, s *fakeServer, b *fakeBox) { s.add(b, nil, s.newBody()) }},
	{"append unreadable", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		m := s.add(b, nil, s.newBody())
		m.unreadable = true
		m.shrunk = rapid.SampledFrom([]int64{1, smallMessage + 1, archive.MaxSize + 1}).Draw(t, "size")
	}},
	{"append shrunk", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		s.add(b, s.newBody(), s.newBody()).shrunk = rapid.SampledFrom([]int64{1, smallMessage}).Draw(t, "by")
	}},
	{"damage differently", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil && m.body != nil && m.rec.GUID != sha1.Sum(m.body) && b.version > 9 {
			m.body = s.newBody()
			s.changed(b)
		}
	}},
	{"find missing", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil && m.bytes() == nil {
			m.body, m.unreadable, m.shrunk = s.newBody(), false, 0
			m.claimBody(b)
			s.changed(b)
		}
	}},
	{"lose file", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil && m.body != nil && m.inRun && m.rec.GUID == sha1.Sum(m.body) {
			m.body, m.kept = nil, m.body
			s.changed(b)
		}
	}},
	{"flag", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil {
			m.rec.SystemFlags ^= cyrus.FlagFlagged
			s.changed(b)
		}
	}},
	{"keyword", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		b.keywords += "$Label" + fmt.Sprint(len(b.keywords)) + " "
		s.changed(b)
	}},
	{"expunge", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil {
			m.rec.SystemFlags |= cyrus.FlagExpunged
			s.changed(b)
		}
	}},
	{"unlink", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if m := pick(t, b); m != nil {
			m.rec.SystemFlags |= cyrus.FlagExpunged | cyrus.FlagUnlinked
			m.body = nil
			s.changed(b)
		}
	}},
	{"repack", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		b.msgs = slices.DeleteFunc(b.msgs, func(m *fakeMsg) bool { return m.rec.Expunged() })
		s.changed(b)
	}},
	{"renumber", func(_ *rapid.T, s *fakeServer, b *fakeBox) { s.renumber(b) }},
	{"annotate", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		b.annotations = nil
		if rapid.Bool().Draw(t, "there") {
			b.annotations = s.newBody()
		}
		s.changed(b)
	}},
	{"set metadata", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		b.metadata = nil
		if rapid.Bool().Draw(t, "there") {
			b.metadata = s.newBody()
		}
		s.changed(b)
	}},
	{"hide metadata", func(_ *rapid.T, _ *fakeServer, b *fakeBox) { b.unknown = true }},
	{"create", func(t *rapid.T, s *fakeServer, _ *fakeBox) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		if s.byName(name) == nil && !s.awaited(name) {
			s.create(name, rapid.SampledFrom([]uint32{9, 10, 12, 17, 20}).Draw(t, "version"))
		}
	}},
	{"delete", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		if len(s.boxes) > 1 {
			s.boxes = slices.DeleteFunc(s.boxes, func(o *fakeBox) bool { return o == b })
		}
	}},
	{"create anew", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		s.boxes = slices.DeleteFunc(s.boxes, func(o *fakeBox) bool { return o == b })
		s.create(b.name, 17)
	}},
	{"rename", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		if s.byName(name) == nil && b.name != "INBOX" && !s.awaited(name) {
			b.name = name
		}
	}},
	{"swap", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		o := anyOf(t, s.boxes)
		b.name, o.name = o.name, b.name
	}},
	{"rename meanwhile", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		name := rapid.SampledFrom(names).Draw(t, "name")
		if s.byName(name) == nil && !s.awaited(name) {
			b.renameTo = name
			s.changed(b)
		}
	}},
	{"new format", func(t *rapid.T, s *fakeServer, b *fakeBox) {
		b.version = 17
		for _, m := range b.msgs {
			if m.rec.GUID.IsZero() && m.body != nil {
				m.rec.GUID = sha1.Sum(m.body)
			}
		}
		s.changed(b)
	}},
	{"racy", func(t *rapid.T, s *fakeServer, b *fakeBox) { b.racy = !b.racy }},
	{"busy", func(t *rapid.T, s *fakeServer, b *fakeBox) { b.busy = true }},
	{"hide", func(_ *rapid.T, _ *fakeServer, b *fakeBox) { b.hidden = true }},
	{"unmount", func(_ *rapid.T, s *fakeServer, _ *fakeBox) { s.unsure = true }},
	{"lock seen", func(_ *rapid.T, s *fakeServer, _ *fakeBox) { s.noSeen = true }},
	{"user files", func(t *rapid.T, s *fakeServer, _ *fakeBox) {
		delete(s.files, "seen")
		if rapid.Bool().Draw(t, "there") {
			s.files["seen"] = s.newBody()
		}
		s.files["sub"] = []byte{}
	}},
}

// calm ends what hinders a run for a day.
func (s *fakeServer) calm() {
	s.unsure, s.noSeen = false, false
	for _, b := range s.boxes {
		b.busy, b.hidden, b.unknown = false, false, false
	}
}

// awaited says that a mailbox is to get a name during a run.
func (s *fakeServer) awaited(name string) bool {
	return slices.ContainsFunc(s.boxes, func(b *fakeBox) bool { return b.renameTo == name })
}

func pick(t *rapid.T, b *fakeBox) *fakeMsg {
	if len(b.msgs) == 0 {
		return nil
	}
	return anyOf(t, b.msgs)
}

// anyOf draws one by its number, which is all that a failure need print.
func anyOf[T any](t *rapid.T, list []T) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(t, "which")]
}
