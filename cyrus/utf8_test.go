package cyrus

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestUTF8Path(t *testing.T) {
	long := strings.Repeat("&ZeU-", 60)
	for archived, want := range map[string]string{
		"INBOX.Entw&APw-rfe":       "INBOX/Entwürfe",
		"INBOX.a&-b.&ZeVnLIqe-":    "INBOX/a&b/日本語",
		"INBOX.100% &APw-":         "INBOX/100%25 ü",
		"INBOX.a&b":                "INBOX/a%&b",   // no modified UTF-7
		"INBOX.&AGE-":              "INBOX/%&AGE-", // what needs no encoding
		"INBOX.x&AAo-y":            "INBOX/x%&AAo-y",
		"INBOX.\xfc":               "INBOX/%\xfc",
		"INBOX.ü":                  "INBOX/%ü",
		"INBOX." + long:            "INBOX/" + strings.Join(TreePath(long), "/"),
		"INBOX.plain.%.":           "INBOX/plain/%25/%",
		"DELETED.user.b.&APw-.123": ".deleted/ü/123",
	} {
		if got := strings.Join(UTF8Path(TreePath(archived)), "/"); got != want {
			t.Errorf("%q is %q, not %q", archived, got, want)
		}
	}
}

// TestUTF8PathInjective: different names stay different, whatever a server has, and are names that a directory can have.
func TestUTF8PathInjective(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "&", "-", "&-", "&APw-", "&AGE-", "ü", "\xfc", "%", "/", ".", "&ZeU", strings.Repeat("x", 249), "\x00", "&AAA-", "&AC8-"})
	name := rapid.Custom(func(t *rapid.T) string {
		return "INBOX." + strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "pieces"), "")
	})
	testenv.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		p, q := UTF8Path(TreePath(a)), UTF8Path(TreePath(b))
		if slices.Equal(p, q) != (a == b) {
			t.Fatalf("%q is %q, and %q is %q", a, p, b, q)
		}
		for _, c := range p {
			if c == "" || c == "." || c == ".." || len(c) > maxComponent || strings.ContainsAny(c, "/\x00") || strings.Contains(c, ".") {
				t.Fatalf("%q is %q", a, p)
			}
		}
	})
}
