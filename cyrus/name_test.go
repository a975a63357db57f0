package cyrus

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name           Name
		user, archived string
		path           string // components joined by slashes
	}{
		{"user.brong", "brong", "INBOX", "INBOX"},
		{"user.brong.Drafts", "brong", "INBOX.Drafts", "INBOX/Drafts"},
		{"user.brong.Archive.2008", "brong", "INBOX.Archive.2008", "INBOX/Archive/2008"},
		{"user.brong.Entw&APw-rfe", "brong", "INBOX.Entw&APw-rfe", "INBOX/Entw&APw-rfe"},
		{"user.jane^doe.v1^2 notes", "jane.doe", "INBOX.v1^2 notes", "INBOX/v1^2 notes"},
		{"example.org!user.alice.v1^2 notes", "alice@example.org", "INBOX.v1^2 notes", "INBOX/v1^2 notes"},
		{"DELETED.user.brong.Gone.6B054A70", "brong", "DELETED.user.brong.Gone.6B054A70", ".deleted/Gone/6B054A70"},
		{"DELETED.user.brong.6B054A70", "brong", "DELETED.user.brong.6B054A70", ".deleted/6B054A70"},
		{"example.org!DELETED.user.a^b.Gone.X.6B054A70", "a.b@example.org", "DELETED.user.a^b.Gone.X.6B054A70", ".deleted/Gone/X/6B054A70"},
		{"news.local", "", "news.local", "news/local"},
		{"news", "", "news", "news"},
		{"user", "", "user", "user"},
		{"example.org!news.local", "", "example.org!news.local", "example/org!news/local"},
		{"DELETED.news.old.6B054A70", "", "DELETED.news.old.6B054A70", "DELETED/news/old/6B054A70"},
		{"DELETED.user.brong", "", "DELETED.user.brong", "DELETED/user/brong"}, // of the shared mailbox "user"
		{"user.a.x/y", "a", "INBOX.x/y", "INBOX/x%2Fy"},
		{"user.a.50%", "a", "INBOX.50%", "INBOX/50%25"},
		{"user.a.\x00\xff", "a", "INBOX.\x00\xff", "INBOX/%00\xff"},
		{"user.a...b", "a", "INBOX...b", "INBOX/%/%/b"},
		{Name("user.a." + long), "a", "INBOX." + long, "INBOX/" + long[:254] + "%/" + long[254:]},
		{"", "", "", "%"},
	} {
		if got := c.name.User(); got != c.user {
			t.Errorf("%.80q is of user %q, want %q", c.name, got, c.user)
		}
		if got := c.name.Archived(); got != c.archived {
			t.Errorf("%.80q is archived as %q, want %q", c.name, got, c.archived)
		}
		if got := strings.Join(TreePath(c.archived), "/"); got != c.path {
			t.Errorf("%.80q stands in the tree at %q, want %q", c.archived, got, c.path)
		}
	}
}

// archivedOf is the inverse of TreePath, for the archive of a user.
func archivedOf(path []string, user string) string {
	var parts []string
	if path[0] == DeletedFolder {
		parts, path = []string{deletedPrefix, userPrefix, user}, path[1:]
	}
	unescape := strings.NewReplacer("%25", "%", "%2F", "/", "%00", "\x00")
	part := ""
	for _, c := range path {
		text, more := strings.CutSuffix(c, "%")
		part += unescape.Replace(text)
		if !more || c == "%" {
			parts, part = append(parts, part), ""
		}
	}
	return strings.Join(parts, ".")
}

// checkTree: the path is one that a file system can have, and tells the name.
func checkTree(t interface{ Fatalf(string, ...any) }, archived string) {
	path := TreePath(archived)
	for n, c := range path {
		if c == "" || c == "." || c == ".." || len(c) > 255 || strings.ContainsAny(c, "/\x00") {
			t.Fatalf("%q: component %q", archived, c)
		}
		if c[0] == '.' && (n > 0 || c != DeletedFolder) {
			t.Fatalf("%q: %q is a name of ours", archived, c)
		}
	}
	user := ""
	if parts := strings.Split(archived, "."); len(parts) > 2 {
		user = parts[2]
	}
	if back := archivedOf(path, user); back != archived {
		t.Fatalf("%q stands at %q, which is %q", archived, path, back)
	}
}

func TestTreePathTellsTheName(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[a-zA-Z0-9 &^%/+-]{1,9}`), rapid.String(), rapid.Just(""), rapid.Just("\xff\x00"),
		rapid.Map(rapid.IntRange(240, 4096), func(n int) string { return strings.Repeat("%a/\x00"[n%4:], n)[:n] }))
	testenv.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(part, 1, 5).Draw(t, "parts")
		top := rapid.SampledFrom([]string{"", "INBOX.", "DELETED.user.a.", "DELETED.", "DELETED.user."}).Draw(t, "top")
		checkTree(t, top+strings.Join(parts, "."))
	})
}

func FuzzTreePath(f *testing.F) {
	for _, s := range []string{"INBOX", "INBOX.a/b.50%.", "DELETED.user.a.Gone.6B054A70", "news.%2F%", strings.Repeat("%", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, archived string) { checkTree(t, archived) })
}

// FuzzName: a name is filed somewhere, whatever it is, and two names of one user are filed apart. (A server has domains or has
// not: user alice@example.org is "example.org!user.alice" or "user.alice@example^org".)
func FuzzName(f *testing.F) {
	for _, s := range []string{"user.a.b", "x!user.a^b", "DELETED.user.a.b.6B05", "a..!.b"} {
		f.Add(s, "user.a")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		m, n := Name(a), Name(b)
		if strings.ContainsRune(a+b, '@') {
			return
		}
		if m.User() == n.User() && m.Archived() == n.Archived() && m != n {
			t.Fatalf("%q and %q are both %q of %q", m, n, m.Archived(), m.User())
		}
	})
}

// TestCanonical shows a user's mailboxes in each namespace, as a server does, and wants their archived names back.
func TestCanonical(t *testing.T) {
	part := rapid.StringMatching(`[a-zA-Z0-9 &+-]([a-zA-Z0-9 &+^-]{0,8})`)
	testenv.Check(t, func(t *rapid.T) {
		slash, hidden := rapid.Bool().Draw(t, "slash"), rapid.Bool().Draw(t, "hidden")
		names := map[string]string{}
		for range rapid.IntRange(1, 6).Draw(t, "n") {
			parts := rapid.SliceOfN(part, 1, 3).Draw(t, "parts")
			n := Name("user.jane^doe." + strings.Join(parts, "."))
			if rapid.Bool().Draw(t, "deleted") {
				n = "DELETED." + n + ".6B054A70"
			}
			names[n.Archived()] = strings.TrimPrefix(n.Archived(), map[bool]string{true: "INBOX."}[hidden])
		}
		names["INBOX"] = "INBOX"
		if slash { // one name must have a slash, or nobody can know
			names["INBOX.a.b"] = map[bool]string{true: "a.b", false: "INBOX.a.b"}[hidden]
		}
		var want, shown []string
		for archived, name := range names {
			if slash {
				name = strings.NewReplacer(".", "/", "^", ".").Replace(name)
			}
			want, shown = append(want, archived), append(shown, name)
		}
		if got := Canonical(shown); !slices.Equal(got, want) {
			t.Fatalf("%q became %q, want %q", shown, got, want)
		}
	})
}
