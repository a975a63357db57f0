package cyrus_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/internal/testenv"
)

// values of METADATA: all that a quoted JSON string is particular about, and long ones.
var values = []string{"x", "my \"old\" mail", `a\b/c`, "Entwürfe 📧", "two\r\nlines\ttab", "\x01\x1f\x7f<>&\u2028", strings.Repeat("long ", 900), ""}

// TestMetadataOfServer changes METADATA at random, and reads of the database what the server says over IMAP: after a few changes, when a log
// stands behind what was in order, and after many, when the server has written the file anew.
func TestMetadataOfServer(t *testing.T) {
	for _, kind := range []string{"twoskip", "skiplist"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			lab := cyruslab.Start(t, cyruslab.Options{Extra: []string{"annotation_db: " + kind, "annotation_allow_undefined: yes"}})
			lab.MustAddUsers(t, "alice", "bob")
			alice, bob := lab.MustLogin(t, "alice"), lab.MustLogin(t, "bob")
			boxes := []string{"INBOX", "INBOX.a", "INBOX.b", "INBOX.c"}
			for _, box := range boxes {
				if box != "INBOX" {
					cyruslab.Must(t, alice.Create(box))
				}
				cyruslab.Must(t, alice.SetACL(box, "bob", "lrsw"))
			}
			random := rand.New(rand.NewPCG(1, 0))
			for round, changes := range []int{0, 1, 5, 30, 200} {
				for range changes {
					n, value := random.IntN(len(boxes)), values[random.IntN(len(values))]
					entry := []string{"/comment", "/sort", "/vendor/x/y", "/vendor/x/z"}[random.IntN(4)]
					switch random.IntN(3) {
					case 0:
						cyruslab.Must(t, bob.SetMetadata("user.alice"+strings.TrimPrefix(boxes[n], "INBOX"), "/private"+entry, value))
					case 1:
						cyruslab.Must(t, alice.SetMetadata(boxes[n], "/private"+entry, value))
					default:
						cyruslab.Must(t, alice.SetMetadata(boxes[n], "/shared"+entry, value))
					}
				}
				if round == 3 {
					cyruslab.Must(t, alice.Delete("INBOX.c"))
					boxes = boxes[:3]
				}
				if problem := sameMetadata(t, lab, alice, bob, boxes); problem != "" {
					t.Fatalf("after round %d: %s", round, problem)
				}
				mustWriteAlike(t, lab)
			}
		})
	}
}

// sameMetadata compares the database with IMAP.
func sameMetadata(t *testing.T, lab *cyruslab.Lab, alice, bob *cyruslab.Client, boxes []string) string {
	out, err := lab.Tool("ctl_mboxlist", "-d")
	cyruslab.Must(t, err)
	list, err := cyrus.ParseMboxlist(out)
	cyruslab.Must(t, err)
	b, err := os.ReadFile(lab.Dir + "/conf/annotations.db")
	cyruslab.Must(t, err)
	if !strings.HasPrefix(string(b[4:]), strings.TrimPrefix(lab.Options.Extra[0], "annotation_db: ")) {
		return fmt.Sprintf("the database is of another type: %q", b[:20])
	}
	all, err := cyrus.ParseMetadata(b)
	cyruslab.Must(t, err)
	for _, box := range boxes {
		i := slices.IndexFunc(list, func(m cyrus.Mailbox) bool { return m.Name.User() == "alice" && m.Name.Archived() == box })
		annotations := all.Of(list[i])
		if len(annotations) > 0 {
			read, err := cyrus.ParseAnnotations(cyrus.MarshalAnnotations(annotations))
			if err != nil || !slices.Equal(read, annotations) {
				return fmt.Sprintf("%s: %q is read as %q, %v", box, annotations, read, err)
			}
		}
		for user, c := range map[string]*cyruslab.Client{"alice": alice, "bob": bob} {
			name := box
			if user == "bob" {
				name = string(list[i].Name)
			}
			want, err := c.Metadata(name)
			cyruslab.Must(t, err)
			got := map[string]string{}
			for _, a := range annotations {
				switch a.User {
				case "":
					got["/shared"+a.Entry] = a.Value
				case user:
					got["/private"+a.Entry] = a.Value
				}
			}
			if !maps.Equal(got, want) {
				return fmt.Sprintf("%s has of %s\n%q, IMAP says\n%q", user, box, got, want)
			}
		}
	}
	return ""
}

// mustWriteAlike makes records anew of what a server's databases have: METADATA of all mailboxes, and annotations of alice's messages.
func mustWriteAlike(t *testing.T, lab *cyruslab.Lab) {
	t.Helper()
	out, err := lab.Tool("ctl_mboxlist", "-d")
	cyruslab.Must(t, err)
	list, err := cyrus.ParseMboxlist(out)
	cyruslab.Must(t, err)
	b, err := os.ReadFile(lab.Dir + "/conf/annotations.db")
	cyruslab.Must(t, err)
	all, err := cyrus.ParseMetadata(b)
	cyruslab.Must(t, err)
	got := map[string]string{}
	for _, m := range list {
		for _, a := range all.Of(m) {
			got[m.AnnotationKey(0, a)] = cyrus.AnnotationData(a.Value, 0)
		}
	}
	mustBe(t, lab, lab.Dir+"/conf/annotations.db", got)
}

// TestRecordedMetadata: what backupcyrusd 3.13 made of METADATA is made of it here, byte for byte.
func TestRecordedMetadata(t *testing.T) {
	archives, err := filepath.Glob(filepath.Join(testenv.Fixtures(t), "cyrus313/archives/tar/data/brong/*.tar"))
	cyruslab.Must(t, err)
	found := 0
	for _, path := range archives {
		f, err := os.Open(path)
		cyruslab.Must(t, err)
		defer f.Close()
		r := tar.NewReader(f)
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			cyruslab.Must(t, err)
			if filepath.Base(h.Name) != "cyrus.mailbox_annotations" || h.Size == 0 {
				continue
			}
			found++
			b, err := io.ReadAll(r)
			cyruslab.Must(t, err)
			list, err := cyrus.ParseAnnotations(b)
			if got := cyrus.MarshalAnnotations(list); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%q became %q, %v", b, got, err)
			}
		}
	}
	if found == 0 {
		t.Error("none was recorded")
	}
}
