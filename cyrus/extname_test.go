package cyrus

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func mustNamespace(t testing.TB, alt, unix string) *Config {
	t.Helper()
	return mustConfig(t, "altnamespace: "+alt, "unixhierarchysep: "+unix, "defaultdomain: lab.test")
}

func TestExternalNames(t *testing.T) {
	const none = "-"
	for _, c := range []struct {
		user           string
		name           Name
		dot, unix, alt string // altnamespace off with each separator; on, with slash
	}{
		{"brong", "user.brong", "INBOX", "INBOX", "INBOX"},
		{"brong", "user.brong.A.B", "INBOX.A.B", "INBOX/A/B", "A/B"},
		{"brong", "user.brong.v1^2", "INBOX.v1^2", "INBOX/v1.2", "v1.2"},
		{"brong", "user.brong.R&AOk-union", "INBOX.R&AOk-union", "INBOX/R&AOk-union", "R&AOk-union"},
		{"brong", "user.brong.INBOX", "INBOX.INBOX", "INBOX/INBOX", "Alt Folders/INBOX"},
		{"brong", "user.brong.INBOX.x", "INBOX.INBOX.x", "INBOX/INBOX/x", "INBOX/x"},
		{"brong", "user.brong.inbox.x", "INBOX.inbox.x", "INBOX/inbox/x", "Alt Folders/inbox/x"},
		{"brong", "user.brong.Other Users.x", "INBOX.Other Users.x", "INBOX/Other Users/x", "Alt Folders/Other Users/x"},
		{"brong", "DELETED.user.brong.Empty.6B054793", "DELETED.user.brong.Empty.6B054793", "DELETED/user/brong/Empty/6B054793", none},
		{"jane.doe", "DELETED.user.jane^doe.6B054793", "DELETED.user.jane^doe.6B054793", "DELETED/user/jane.doe/6B054793", none},
		{"a.b@example.org", "example.org!user.a^b.x", "INBOX.x", "INBOX/x", "x"},
		{"brong", "user.cassandane.x", none, none, none},
		{"brong", "news.local", none, none, none},
		{"", "news.local", none, none, none},
	} {
		for i, conf := range []*Config{mustNamespace(t, "no", "no"), mustNamespace(t, "no", "yes"), mustNamespace(t, "yes", "yes")} {
			want := []string{c.dot, c.unix, c.alt}[i]
			got, ok := conf.External(c.name, c.user)
			if !ok {
				got = none
			}
			if got != want {
				t.Errorf("%s in namespace %d is %q, want %q", c.name, i, got, want)
			}
			if ok && conf.Internal(got, c.user) != c.name {
				t.Errorf("%q in namespace %d means %q, want %q", got, i, conf.Internal(got, c.user), c.name)
			}
		}
	}
	for _, c := range []struct {
		alt, unix, external, user string
		want                      Name
	}{
		{"no", "no", "inbox.A", "brong", "user.brong.A"},
		{"no", "no", "..INBOX..A.", "brong", "user.brong.A"},
		{"no", "no", "user.cassandane.x", "brong", "user.cassandane.x"},
		{"no", "no", "user", "brong", ""},
		{"no", "no", "NoSuch", "brong", "NoSuch"},
		{"no", "no", "NoSuch", "a@example.org", "example.org!NoSuch"},
		{"no", "no", "INBOX", "a@lab.test", "user.a"},
		{"no", "no", "INBOX.a/b", "brong", ""},
		{"no", "yes", "INBOX/a^b", "brong", ""},
		{"no", "yes", "INBOX.a", "brong", "INBOX^a"},
		{"yes", "yes", "InBoX", "brong", "user.brong"},
		{"yes", "yes", "InBoX/x", "brong", "user.brong.INBOX.x"},
		{"yes", "yes", "Other Users/cassandane/x", "brong", "user.cassandane.x"},
		{"yes", "yes", "Other Users", "brong", ""},
		{"yes", "yes", "Shared Folders/news", "brong", "news"},
		{"yes", "yes", "Shared Folders", "brong", ""},
		{"yes", "yes", "", "brong", ""},
		{"yes", "yes", "///", "brong", ""},
	} {
		if got := mustNamespace(t, c.alt, c.unix).Internal(c.external, c.user); got != c.want {
			t.Errorf("altnamespace %s, unixhierarchysep %s: %q of %s means %q, want %q", c.alt, c.unix, c.external, c.user, got, c.want)
		}
	}
}

// TestExternalIsUnderstood: whatever a user's mailbox is called, its external name means it.
func TestExternalIsUnderstood(tb *testing.T) {
	level := rapid.OneOf(rapid.SampledFrom([]string{"INBOX", "inbox", "Other Users", "Alt Folders", "Shared Folders", "user", "DELETED", `\Sent`, "^", "a b"}),
		rapid.StringMatching(`[a-z^&%,\\-]{1,4}`))
	testenv.Check(tb, func(t *rapid.T) {
		conf := mustConfig(tb, "altnamespace: "+rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "alt"),
			"unixhierarchysep: "+rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "unix"))
		user := rapid.SampledFrom([]string{"brong", "jane.doe", "a.b@example.org"}).Draw(t, "user")
		name := Name(strings.Join(append([]string{string(conf.Inbox(user))}, rapid.SliceOfN(level, 0, 3).Draw(t, "levels")...), "."))
		if name.User() != user {
			t.Fatalf("%s is of %q", name, name.User())
		}
		external, ok := conf.External(name, user)
		if got := conf.Internal(external, user); !ok || got != name {
			t.Fatalf("%q is %q for %s, which means %q", name, external, user, got)
		}
	})
}

func TestCompare(t *testing.T) {
	sorted := []Name{"DELETED.user.a.6B054A70", "example.org!user.a", "user.a", "user.a.&ZeVnLIqe-", "user.a.A", "user.a.A.z", "user.a.A b", "user.a.A^b", "user.a.AB", "user.b"}
	shuffled := slices.Clone(sorted)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, Name.Compare)
	if !slices.Equal(shuffled, sorted) {
		t.Errorf("%q", shuffled)
	}
}
