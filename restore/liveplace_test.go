package restore

import (
	"fmt"
	"slices"
	"testing"

	"backupfs/cyrus"
	"backupfs/source"
)

// TestKeyword: a keyword keeps its bit, a new one takes one that is unused, and where there is none it is an error.
func TestKeyword(t *testing.T) {
	h := &cyrus.Header{Flags: []string{"a", "", "c"}}
	for _, c := range []struct {
		name string
		bit  int
	}{{"c", 2}, {"new", 1}, {"newer", 3}, {"new", 1}} {
		if n, err := keyword(h, c.name); n != c.bit || err != nil {
			t.Errorf("%s has bit %d, %v, want %d", c.name, n, err, c.bit)
		}
	}
	for n := range 124 {
		if _, err := keyword(h, fmt.Sprint("k", n)); err != nil {
			t.Fatal(err)
		}
	}
	full := slices.Clone(h.Flags)
	if n, err := keyword(h, "one more"); err == nil || !slices.Equal(h.Flags, full) {
		t.Errorf("a 129th keyword has bit %d", n)
	}
}

// TestSpoolNames: where a folder goes.
func TestSpoolNames(t *testing.T) {
	for _, c := range []struct{ below, archived, want string }{
		{"", "INBOX", "user.brong"},
		{"", "INBOX.Work.v1^2", "user.brong.Work.v1^2"},
		{"", "DELETED.user.brong.Gone.Deep.6B054A70", "user.brong.Gone.Deep"},
		{"RESTORED.2026-11-16", "INBOX", "user.brong.RESTORED.2026-11-16.INBOX"},
		{"RESTORED.2026-11-16", "INBOX.Work", "user.brong.RESTORED.2026-11-16.Work"},
		{"RESTORED.2026-11-16", "DELETED.user.brong.Gone.6B054A70", "user.brong.RESTORED.2026-11-16.Gone"},
	} {
		s := &Spool{below: c.below, inbox: source.Mailbox{Mailbox: cyrus.Mailbox{Name: "user.brong"}}}
		if got := s.name(c.archived); string(got) != c.want {
			t.Errorf("%s below %q: %s, want %s", c.archived, c.below, got, c.want)
		}
	}
}
