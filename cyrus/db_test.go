package cyrus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"reflect"
	"testing"
)

// frozen is the database of a 3.6 server that set and changed METADATA, and took some away, and the two mailboxes it is of.
func frozen(t testing.TB, kind string) (b []byte, inbox, sub Mailbox) {
	t.Helper()
	b, err := os.ReadFile("testdata/annotations." + kind)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string][2]string{
		"twoskip":  {"hsf2wu69zu56jxaos8i3q1cq", "f6au5v6a0q7nxbcdmaqhn584"},
		"skiplist": {"er3hw7xxzxmdnj1y49f813rv", "hg7mnifsamul70esjc3iyukb"},
	}[kind]
	return b, Mailbox{Name: "user.alice", UniqueID: ids[0]}, Mailbox{Name: "user.alice.a", UniqueID: ids[1]}
}

const frozenJSON = "[\n  [\n    \"/comment\",\n    \"\",\n    \"Entwürfe \\\"alt\\\"\"\n  ],\n  [\n    \"/comment\",\n    \"alice\",\n    \"mine, changed\"\n  ],\n" +
	"  [\n    \"/comment\",\n    \"bob\",\n    \"of bob\"\n  ]\n]"

func TestMetadata(t *testing.T) {
	for _, kind := range []string{"twoskip", "skiplist"} {
		b, inbox, sub := frozen(t, kind)
		m, err := ParseMetadata(b)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if got := string(MarshalAnnotations(m.Of(inbox))); got != frozenJSON {
			t.Errorf("%s: %s", kind, got)
		}
		if got := m.Of(sub); !reflect.DeepEqual(got, []Annotation{{"/comment", "", "again"}}) {
			t.Errorf("%s: %q", kind, got)
		}
		if got := m.Of(Mailbox{Name: "user.other", UniqueID: "x"}); got != nil {
			t.Errorf("%s: another mailbox has %q", kind, got)
		}
		if len(m.of) != 2 {
			t.Errorf("%s: %v", kind, m.of)
		}
	}
	if m, err := ParseMetadata(nil); err != nil || len(m.of) != 0 {
		t.Error(m, err)
	}
	for _, other := range []string{"x", "\x00\x05\x31\x62", string(make([]byte, 4096)), twoskipMagic[:20-1]} {
		if _, err := ParseMetadata([]byte(other)); !errors.Is(err, ErrDatabase) {
			t.Errorf("%.20q: %v", other, err)
		}
	}
}

// TestMetadataByName: before 3.6 the key has the mailbox's name; a shared mailbox has no owner.
func TestMetadataByName(t *testing.T) {
	m := &Metadata{of: map[string][]Annotation{
		"user.alice": {{"/comment", "", "x"}, {"/comment", owner, "y"}},
		"info":       {{"/comment", owner, "y"}, {"/sort", "bob", "z"}},
	}}
	if got := m.Of(Mailbox{Name: "user.alice", UniqueID: "id"}); !reflect.DeepEqual(got, []Annotation{{"/comment", "", "x"}, {"/comment", "alice", "y"}}) {
		t.Errorf("%q", got)
	}
	if got := m.Of(Mailbox{Name: "info", UniqueID: "id"}); !reflect.DeepEqual(got, []Annotation{{"/sort", "bob", "z"}}) {
		t.Errorf("%q", got)
	}
	if got := m.Of(Mailbox{Name: "user.bob"}); got != nil {
		t.Errorf("%q", got)
	}
}

func TestAnnotationValue(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x00\x00\x02\x00\x00\x00\x00abtext": "ab", // 64 bits, little-endian
		"\x00\x00\x00\x00\x00\x00\x00\x02abtext": "ab", // 64 bits, big-endian
		"\x00\x00\x00\x02ab\x00text/plain":       "ab", // 32 bits
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00":   "",
	} {
		if got, err := annotationValue([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\x00\x00\x00\x01", "\x00\x00\x00\x03\x00\x00\x00\x00ab", "\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if got, err := annotationValue([]byte(in)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestMarshalAnnotations(t *testing.T) {
	list := []Annotation{{"/a", "", "\xff"}, {"/b\xc3", "", "x"}, {"/c", "u", "\b\f\n\r\t\x01\x1f\x7f\\\"/<\u2028é"}, {"/d", "\xf0", "x"}}
	const want = "[\n  [\n    \"/c\",\n    \"u\",\n    \"\\b\\f\\n\\r\\t\\u0001\\u001F\x7f\\\\\\\"/<\u2028é\"\n  ]\n]"
	got := MarshalAnnotations(list)
	if string(got) != want {
		t.Errorf("%q", got)
	}
	if back, err := ParseAnnotations(got); err != nil || !reflect.DeepEqual(back, list[2:3]) {
		t.Errorf("%q, %v", back, err)
	}
	if got := MarshalAnnotations(list[:2]); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for _, in := range []string{"", "{}", "[", `[["a"]]`, `[["a","b",1]]`, `[["a","b","c","d"]]`} {
		if got, err := ParseAnnotations([]byte(in)); got != nil || !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// TestTwoskipDamaged: whichever byte is wrong, and wherever the file ends, nothing is read that is not so.
func TestTwoskipDamaged(t *testing.T) {
	b, _, _ := frozen(t, "twoskip")
	want, err := ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		got, err := ParseMetadata(bad)
		if err != nil {
			refused++
		}
		if got != nil && !reflect.DeepEqual(got, want) { // what was wrong is of no use any more
			t.Fatalf("with byte %d wrong: %v", i, got)
		}
		if got, err := ParseMetadata(b[:i]); i > 0 && (err == nil || got != nil) {
			t.Fatalf("the first %d bytes: %v", i, got)
		}
	}
	if refused < 500 {
		t.Errorf("only %d bytes count", refused)
	}
}

// TestTwoskipUnfinished: a transaction that was not committed is left out.
func TestTwoskipUnfinished(t *testing.T) {
	b, _, _ := frozen(t, "twoskip")
	want, err := ParseMetadata(b)
	if err != nil {
		t.Fatal(err)
	}
	dirty := append(bytes.Clone(b), "+ a record that is half written"...)
	binary.BigEndian.PutUint32(dirty[56:], twoskipDirty)
	binary.BigEndian.PutUint64(dirty[32:], 4711)
	binary.BigEndian.PutUint32(dirty[60:], crc32.ChecksumIEEE(dirty[:60]))
	// The pointer of the first record that does not count, since it is the earlier one, leads to the new record by now.
	older := twoskipHeader + 8
	if binary.BigEndian.Uint64(dirty[older:]) > binary.BigEndian.Uint64(dirty[older+8:]) {
		older += 8
	}
	binary.BigEndian.PutUint64(dirty[older:], uint64(len(b)))
	head := twoskipHeader + 8 + 8*(twoskipMaxLevel+1)
	binary.BigEndian.PutUint32(dirty[head:], crc32.ChecksumIEEE(dirty[twoskipHeader:head]))
	if got, err := ParseMetadata(dirty); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	skip, _, _ := frozen(t, "skiplist")
	for _, cut := range []int{1, 4, 8} {
		if got, err := ParseMetadata(skip[:len(skip)-cut]); !errors.Is(err, ErrDamaged) {
			t.Errorf("skiplist without its last %d bytes: %v, %v", cut, got, err)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	for _, kind := range []string{"twoskip", "skiplist"} {
		b, inbox, _ := frozen(f, kind)
		f.Add(b, string(inbox.Name), inbox.UniqueID)
	}
	f.Fuzz(func(t *testing.T, b []byte, name, id string) {
		// Most of what a fuzzer makes of a twoskip file would be refused for its checksums.
		if bytes.HasPrefix(b, []byte(twoskipMagic)) && len(b) >= twoskipHeader {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[60:], crc32.ChecksumIEEE(b[:60]))
		}
		m, err := ParseMetadata(b)
		if of, messagesErr := MessageAnnotations(b, "brong"); (messagesErr == nil) != (err == nil) || err != nil && of != nil {
			t.Fatalf("%v, %v of messages, METADATA: %v", of, messagesErr, err)
		}
		if err != nil {
			if m != nil {
				t.Fatal("an error and METADATA")
			}
			return
		}
		text := MarshalAnnotations(m.Of(Mailbox{Name: Name(name), UniqueID: id}))
		if len(text) == 0 {
			return
		}
		list, err := ParseAnnotations(text)
		if err != nil || !bytes.Equal(MarshalAnnotations(list), text) {
			t.Fatalf("%q became %q, %v", text, list, err)
		}
	})
}
