package sourcetest

import (
	"strings"
	"time"

	"backupfs/internal/cyruslab"
)

// settled is after which time a fingerprint counts on a file system with fine stamps.
const settled = 50 * time.Millisecond

// fingerprint of Mailboxes and of Fetch are the same as long as nothing changes, and others after any change.
func (s *suite) fingerprint() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 4)
	_, err := c.Select("INBOX")
	cyruslab.Must(s, err)
	seen := map[string]string{}
	for _, step := range []struct {
		name   string
		change func() error
	}{
		{"nothing", func() error { return nil }},
		{"flag", func() error { return c.Store("1", "+FLAGS", `\Flagged`) }},
		{"flag taken", func() error { return c.Store("1", "-FLAGS", `\Flagged`) }},
		{"new keyword", func() error { return c.Store("2", "+FLAGS", "brandnew") }},
		{"append", func() error { return c.Append("INBOX", mail(5), date) }},
		{"expunge", func() error { return c.Expunge("3") }},
		{"acl", func() error { return c.SetACL("INBOX", "anyone", "p") }},
	} {
		cyruslab.Must(s, step.change())
		s.mailbox(alice, "INBOX") // who is not on the server's host learns of its clock by looking
		time.Sleep(s.traits.Settled * 5 / 4)
		m := s.mailbox(alice, "INBOX")
		snap, _ := s.mustFetch(m, none)
		again := s.mailbox(alice, "INBOX").Fingerprint
		fp := m.Fingerprint
		if fp == "" || snap.Fingerprint != fp || again != fp || strings.ContainsAny(fp, " \n") {
			s.Errorf("%s: listed %q, fetched %q, listed again %q", step.name, fp, snap.Fingerprint, again)
		}
		if seen[fp] != "" {
			s.Errorf("%s: the fingerprint after %s", step.name, seen[fp])
		}
		seen[fp] = step.name
	}
}

// fingerprintWithinASecond: however soon a change follows another, a fingerprint from between them is not that of afterwards.
func (s *suite) fingerprintWithinASecond() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 1)
	_, err := c.Select("INBOX")
	cyruslab.Must(s, err)
	counted := 0
	rounds := 30
	if s.traits.Settled > settled {
		rounds = 6
	}
	for n := range rounds {
		cyruslab.Must(s, c.Store("1", "+FLAGS", `\Flagged`))
		wait := s.traits.Settled * time.Duration(9*n) / time.Duration(5*rounds) // on both sides of what counts as settled
		s.mailbox(alice, "INBOX")
		time.Sleep(wait)
		m := s.mailbox(alice, "INBOX")
		snap, _ := s.mustFetch(m, none)
		cyruslab.Must(s, c.Store("1", "-FLAGS", `\Flagged`))
		after := s.mailbox(alice, "INBOX").Fingerprint
		time.Sleep(s.traits.Settled + 20*time.Millisecond)
		later := s.mailbox(alice, "INBOX").Fingerprint
		for _, fp := range []string{m.Fingerprint, snap.Fingerprint} {
			if fp != "" && (fp == after || fp == later) {
				s.Fatalf("a change %v after another is hidden", wait)
			}
		}
		if snap.Fingerprint != "" {
			counted++
		}
		if later == "" {
			s.Errorf("no fingerprint, though nothing changed for long")
		}
	}
	if counted == 0 {
		s.Error("no fingerprint ever counted: nothing was tested")
	}
}
