package cyrus_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
)

// mustBe compares a database of annotations with records, as Cyrus's own tool prints them.
func mustBe(t *testing.T, lab *cyruslab.Lab, path string, records map[string]string) {
	t.Helper()
	out, err := lab.Tool("cyr_dbtool", path, "twoskip", "show")
	cyruslab.Must(t, err)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(records)) {
		lines.WriteString(key + "\t" + records[key] + "\n")
	}
	if lines.String() != string(out) {
		t.Errorf("%s: written would be\n%q\nthe server has\n%q", path, lines.String(), out)
	}
}

// TestMessageAnnotations: what a server has of its messages is read, and would be written as the server does it; that of one before 3.6, too.
func TestMessageAnnotations(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{Extra: []string{"annotation_allow_undefined: yes"}})
	lab.MustAddUsers(t, "alice", "bob")
	alice, bob := lab.MustLogin(t, "alice"), lab.MustLogin(t, "bob")
	for range 12 {
		cyruslab.Must(t, alice.Append("INBOX", []byte("Subject: x\r\n\r\n"), time.Time{}))
	}
	cyruslab.Must(t, alice.SetACL("INBOX", "bob", "lrsn"))
	_, err := alice.Select("INBOX")
	cyruslab.Must(t, err)
	_, err = bob.Select("user.alice")
	cyruslab.Must(t, err)
	want := map[uint32][]cyrus.Annotation{}
	for i, value := range values[:len(values)-1] { // the last is none
		uid := uint32(i + 5) // of one digit and of two
		cyruslab.Must(t, alice.Annotate(fmt.Sprint(uid), "/comment", value), bob.Annotate(fmt.Sprint(uid), "/comment", value+"b"), alice.AnnotateShared(fmt.Sprint(uid), "/vendor/x/y", value))
		want[uid] = []cyrus.Annotation{{Entry: "/comment", User: "alice", Value: value}, {Entry: "/comment", User: "bob", Value: value + "b"}, {Entry: "/vendor/x/y", Value: value}}
	}
	cyruslab.Must(t, alice.Annotate("1", "/comment", "x"), alice.Annotate("1", "/comment", "")) // a tombstone is left
	out, err := lab.Tool("ctl_mboxlist", "-d")
	cyruslab.Must(t, err)
	list, err := cyrus.ParseMboxlist(out)
	cyruslab.Must(t, err)
	inbox := list[slices.IndexFunc(list, func(m cyrus.Mailbox) bool { return m.Name == "user.alice" })]
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	paths, err := conf.Paths(inbox)
	cyruslab.Must(t, err)
	b, err := os.ReadFile(paths.Annotations)
	cyruslab.Must(t, err)
	got, err := cyrus.MessageAnnotations(b, "alice")
	if err != nil || !maps.EqualFunc(got, want, slices.Equal) {
		t.Fatalf("%v, %v, want %v", got, err, want)
	}
	raw, err := cyrus.UserRecords(b)
	cyruslab.Must(t, err)
	tombstone := inbox.AnnotationKey(1, cyrus.Annotation{Entry: "/comment", User: "alice"})
	records := map[string]string{tombstone: raw[tombstone]}
	for uid, annotations := range got {
		for _, a := range annotations {
			key := inbox.AnnotationKey(uid, a)
			if len(raw[key]) < 9 {
				t.Fatalf("no record %q", key)
			}
			records[key] = cyrus.AnnotationData(a.Value, binary.BigEndian.Uint64([]byte(raw[key][len(raw[key])-9:])))
		}
	}
	mustBe(t, lab, paths.Annotations, records)

	old := cyrus.Mailbox{Name: "user.alice", UniqueID: "x", Before36: true}
	for key, want := range map[string]string{
		old.AnnotationKey(7, cyrus.Annotation{Entry: "/comment", User: "alice"}): "7\x00/comment\x00alice\x00",
		old.AnnotationKey(0, cyrus.Annotation{Entry: "/comment"}):                "user.alice\x00/comment\x00\x00",
	} {
		if key != want {
			t.Errorf("before 3.6 the key was %q, and would be %q", want, key)
		}
	}
	if got, err := cyrus.MessageAnnotations(b[:len(b)-8], "alice"); err == nil {
		t.Errorf("cut: %v", got)
	}
}
