package restore

import "testing"

// TestIMAPNames: what a folder is called on servers that part levels differently.
func TestIMAPNames(t *testing.T) {
	for _, c := range []struct{ delim, prefix, below, archived, want string }{
		{"/", "", "", "INBOX", "INBOX"},
		{"/", "", "", "INBOX.Work.v1^2 a/b", "Work/v1.2 a_b"},
		{".", "INBOX.", "", "INBOX.Work.v1^2", "INBOX.Work.v1^2"},
		{"/", "Mail/", "RESTORED.2026-11-16", "INBOX", "Mail/RESTORED/2026-11-16/INBOX"},
		{".", "INBOX.", "RESTORED.2026-11-16", "DELETED.user.brong.Gone.6B054A70", "INBOX.RESTORED.2026-11-16.Gone"},
		{"/", "", "", "INBOX.Entw&APw-rfe.R&-D.&no", "Entwürfe/R&D/&no"},
		{"", "", "", "INBOX.Work", "Work"},
	} {
		s := &IMAP{delim: c.delim, prefix: c.prefix, below: c.below}
		if got, err := s.name(c.archived); got != c.want || err != nil {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if got, err := (&IMAP{}).name("INBOX.Work.Deep"); err == nil {
		t.Errorf("a server without levels has %q", got)
	}
}
