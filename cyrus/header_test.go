package cyrus

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
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
			Header{false, "e", "user.alice", "117bb5e9-32", "P-F", "user.alice", []string{"work", "$l", "", "$m"}, []ACLEntry{{"alice", "lrs"}, {"-bob", "x"}}}},
		"words of all kinds": {"%(N \"user.a \\\"b\\\" \\\\c\" I {4+}\r\nab\r\n A %(\"group:x y\" {2}\r\nlr) U (a)b \"\" c NIL NIL))",
			Header{Name: `user.a "b" \c`, UniqueID: "ab\r\n", Flags: []string{"a)b", "", "c"}, ACL: []ACLEntry{{"group:x y", "lr"}}}},
		"keys of the future": {"%(Z %(a (b (c)) d %(e f)) T el Y () X %() W NIL A %())\n", Header{MboxType: "el"}},
		"128 keywords":       {"%(U (" + strings.Join(many, " ") + "))\n", Header{Flags: many}},
		"old":                {"user.alice\t2f6a5b8c4d1e\nwork  $l\nalice\tlrswip\tanyone\tp\t\n", Header{Old: true, UniqueID: "2f6a5b8c4d1e", QuotaRoot: "user.alice", Flags: []string{"work", "", "$l"}, ACL: []ACLEntry{{"alice", "lrswip"}, {all, "p"}}}},
		"old, no quota root": {"\t2f6a\n\nanyone\tlr\t\n", Header{Old: true, UniqueID: "2f6a", ACL: []ACLEntry{{all, "lr"}}}},
		"ancient":            {"user.alice\n\n\n", Header{Old: true, QuotaRoot: "user.alice"}},
		"old, 128 keywords":  {"\ta\n" + strings.Join(many, " ") + " \n\n", Header{Old: true, UniqueID: "a", Flags: many}},
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

// TestHeaderFiles: the headers that real servers wrote are written back as the same bytes.
func TestHeaderFiles(t *testing.T) {
	for _, version := range fixtureVersions {
		file := mustFixture(t, fmt.Sprintf("cyrus.header.v%d", version))
		h, err := ParseHeader(file)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := h.Marshal(); err != nil || !bytes.Equal(b, file) {
			t.Errorf("version %d: %q became %q, %v", version, file, b, err)
		}
	}
	old := motto + "user.alice\t2f6a5b8c4d1e\nwork $l \nalice\tlrswip\tanyone\tp\t\n" // as Cyrus 3.0 writes it
	h, err := ParseHeader([]byte(old))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := h.Marshal(); err != nil || string(b) != headerMagic+headerMotto+strings.TrimPrefix(old, motto) {
		t.Errorf("%q became %q, %v", old, b, err)
	}
}

// TestHeaderWritten: a header that is written is the header that is read, in both forms, and what a form cannot hold is refused.
func TestHeaderWritten(t *testing.T) {
	word := rapid.StringMatching(`[a-z$(){}"\\%*NIL \x00\t\r\né]{0,6}`)
	testenv.Check(t, func(t *rapid.T) {
		h := &Header{Old: rapid.Bool().Draw(t, "old"), UniqueID: word.Draw(t, "id"), QuotaRoot: word.Draw(t, "root"),
			Flags: withoutUnused(rapid.SliceOfN(word, 0, 5).Draw(t, "flags"))}
		if !h.Old {
			h.MboxType, h.Name, h.JMAPID = word.Draw(t, "type"), word.Draw(t, "name"), word.Draw(t, "jmapid")
		}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			h.ACL = append(h.ACL, ACLEntry{word.Draw(t, "user"), word.Draw(t, "rights")})
		}
		ends := "\r\n\x00"
		if h.Old {
			ends = "\t\n\x00"
		}
		held := !strings.ContainsAny(h.MboxType+h.Name+h.UniqueID+h.JMAPID+h.QuotaRoot+strings.Join(h.Flags, "")+fmt.Sprint(h.ACL), ends)
		held = held && (!h.Old || !strings.Contains(strings.Join(h.Flags, ""), " ") && !strings.HasPrefix(h.QuotaRoot, "%"))
		b, err := h.Marshal()
		if held != (err == nil) {
			t.Fatalf("%+v: %v", h, err)
		}
		if err != nil {
			return
		}
		if again, err := ParseHeader(b); err != nil || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
	if b, err := (&Header{Flags: append(make([]string, maxFlags), "k")}).Marshal(); err == nil {
		t.Errorf("129 keywords: %q", b)
	}
}

// FuzzParseHeader: what parses, and can be written, is the same when it is read again.
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
		written, err := h.Marshal()
		if err != nil {
			return
		}
		again, err := ParseHeader(written)
		if err != nil || !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
