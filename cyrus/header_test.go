package cyrus

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const motto = headerMagic + "\"a\"\n\tb\n"

func TestHeader(t *testing.T) {
	var many []string
	for n := range 128 {
		many = append(many, fmt.Sprint("k", n))
	}
	all := "anyone"
	for name, c := range map[string]struct {
		text string
		want Header
	}{
		"new": {"%(T e N user.alice I 117bb5e9-32 J P-F Q user.alice A %(alice lrs -bob x) U (work $l NIL $m))\n",
			Header{"e", "user.alice", "117bb5e9-32", "P-F", "user.alice", []string{"work", "$l", "", "$m"}, []ACLEntry{{"alice", "lrs"}, {"-bob", "x"}}}},
		"words of all kinds": {"%(N \"user.a \\\"b\\\" \\\\c\" I {4+}\r\nab\r\n A %(\"group:x y\" {2}\r\nlr) U (a)b \"\" c NIL NIL))",
			Header{Name: `user.a "b" \c`, UniqueID: "ab\r\n", Flags: []string{"a)b", "", "c"}, ACL: []ACLEntry{{"group:x y", "lr"}}}},
		"keys of the future": {"%(Z %(a (b (c)) d %(e f)) T el Y () X %() W NIL A %())\n", Header{MboxType: "el"}},
		"128 keywords":       {"%(U (" + strings.Join(many, " ") + "))\n", Header{Flags: many}},
		"old":                {"user.alice\t2f6a5b8c4d1e\nwork  $l\nalice\tlrswip\tanyone\tp\t\n", Header{UniqueID: "2f6a5b8c4d1e", QuotaRoot: "user.alice", Flags: []string{"work", "", "$l"}, ACL: []ACLEntry{{"alice", "lrswip"}, {all, "p"}}}},
		"old, no quota root": {"\t2f6a\n\nanyone\tlr\t\n", Header{UniqueID: "2f6a", ACL: []ACLEntry{{all, "lr"}}}},
		"ancient":            {"user.alice\n\n\n", Header{QuotaRoot: "user.alice"}},
	} {
		h, err := ParseHeader([]byte(motto + c.text))
		if err != nil || !reflect.DeepEqual(*h, c.want) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	deep := strings.Repeat("(", 1e5)
	for _, text := range []string{"", "%", "%(", "%(T", "%(T ", "%(T e", "%(T e ", "%()x", "%(T e) x", "%(N \"a", "%(N \"a\\", "%(N {9}\r\na)", "%(N {-1}\r\na)",
		"%(N {99999999999999999999}\r\na)", "%(N {1}a)", "%(U (a", "%(U a)", "%(A (a))", "%(Z " + deep, "%(U (" + strings.Join(append(many, "k"), " ") + "))\n",
		"a\tb", "a\tb\n", "a\tb\nc\n", "a\tb\nc\nd\te", "a\tb\n" + strings.Repeat("x ", 128) + "x\n\n"} {
		if h, err := ParseHeader([]byte(motto + text)); !errors.Is(err, ErrDamaged) || h != nil {
			t.Errorf("%.40q: %+v, %v", text, h, err)
		}
	}
	for n := range motto {
		if _, err := ParseHeader([]byte(motto[:n])); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

func TestFlagNames(t *testing.T) {
	r := Record{SystemFlags: FlagSeen | FlagAnswered | FlagExpunged, UserFlags: [4]uint32{1 << 1, 0, 1 << 31, 1 << 31}}
	names := make([]string, 96)
	names[1], names[95] = "work", "late"
	want := []string{`\Answered`, `\Seen`, "work", "late", "userflag:127"}
	if got := r.FlagNames(names); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	names[1] = ""
	if got := r.FlagNames(names[:2]); !slices.Equal(got, []string{`\Answered`, `\Seen`, "userflag:1", "userflag:95", "userflag:127"}) {
		t.Errorf("%q", got)
	}
}

// dlistText writes a header in the new form, all words quoted.
func dlistText(h *Header) string {
	q := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
	text := fmt.Sprintf("%%(T %s N %s I %s J %s Q %s A %%(", q(h.MboxType), q(h.Name), q(h.UniqueID), q(h.JMAPID), q(h.QuotaRoot))
	var acl, flags []string
	for _, e := range h.ACL {
		acl = append(acl, q(e.User)+" "+q(e.Rights))
	}
	for _, f := range h.Flags {
		flags = append(flags, q(f))
	}
	return motto + text + strings.Join(acl, " ") + ") U (" + strings.Join(flags, " ") + "))\n"
}

// FuzzParseHeader: what parses is the same when it is written in the new form and read again.
func FuzzParseHeader(f *testing.F) {
	for _, text := range []string{"%(T e N user.a I x A %(a lrs) U (k NIL j))\n", "q\tid\nk  j\na\tlrs\t\n", "%(Z (a %(b c)) N {1}\r\nx)", "%(N \"a\\\"\")"} {
		f.Add([]byte(motto + text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if h != nil {
				t.Fatal("an error and a header")
			}
			return
		}
		again, err := ParseHeader([]byte(dlistText(h)))
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
