package cyruslab

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/internal/truth"
)

var mail = []byte("From: a@lab.test\r\nTo: b@lab.test\r\nSubject: one\r\n\r\nhello {3}\r\n(x\r\n")

// TestLab does once what other packages' tests rely on, in three namespaces and layouts.
func TestLab(t *testing.T) {
	for name, o := range map[string]Options{
		"default":  {},
		"unix":     {AltNamespace: true, UnixHierarchySep: true, Hash: true, FullDirHash: true, VirtDomains: "userid", LegacyDirs: true, Conversations: true, DelayedDelete: true},
		"spread":   {UnixHierarchySep: true, SecondPartition: true, MetaFiles: "header index cache annotations", Archive: true, ImmediateExpunge: true},
		"annotate": {Extra: []string{"annotation_allow_undefined: yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			l := Start(t, o)
			t.Logf("up in %v", time.Since(began))
			alice := "alice"
			if o.VirtDomains != "" {
				alice = "alice@example.org"
			}
			jane := choose(o.UnixHierarchySep, "jane.doe", "jane") // with dots as separators Cyrus lists nothing to jane.doe
			l.MustAddUsers(t, alice, jane)
			inbox := func(name string) string { return "INBOX" + l.Sep() + name }
			if o.AltNamespace {
				inbox = func(name string) string { return name }
			}
			c := l.MustLogin(t, alice)
			work, odd := inbox("Work"), inbox(choose(l.Sep() == "/", "v1.2 notes", "Entw&APw-rfe"))
			date := time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC)
			Must(t, c.Create(work), c.Create(odd), c.Subscribe("INBOX"),
				c.Append("INBOX", mail, date, `\Seen`, "$Label1"), c.Append("INBOX", mail, time.Time{}),
				c.Append(work, mail, date), l.Deliver(alice, mail), l.Deliver(jane, mail))
			if n, err := c.Select("INBOX"); err != nil || n != 3 {
				t.Fatal(n, err)
			}
			Must(t, c.Store("1", "+FLAGS", `\Flagged`, "kw"), c.Expunge("2"), c.Copy("1", odd), c.Move("3", odd),
				c.SetMetadata(odd, "/private/comment", "hm"))
			var annotations map[string]string
			if o.Extra != nil {
				Must(t, c.Annotate("1", "/comment", "a (note)"))
				annotations = map[string]string{"/comment value.priv": "a (note)"}
			}
			Must(t, c.Unselect(), c.Rename(odd, inbox("New"+l.Sep()+"Name")), c.Delete(work))
			got, err := l.Truth(alice, jane)
			Must(t, err)
			u := got.Users[alice]
			var names []string
			for n, f := range u.Folders {
				names = append(names, strings.ReplaceAll(f.DotName, ".", "/"))
				if len(f.UniqueID) < 10 || f.UIDValidity == 0 {
					t.Errorf("%s: %+v", n, f)
				}
			}
			slices.Sort(names)
			if want := []string{"INBOX", "INBOX/New/Name"}; !slices.Equal(names, want) && !slices.Equal(names, append(want[:1:1], "INBOX/New", "INBOX/New/Name")) {
				t.Error(names)
			}
			if ms := u.Folders["INBOX"].Messages; len(ms) != 1 || ms[0].UID != 1 || ms[0].InternalDate != truth.Date(date.Unix()) || ms[0].Size != int64(len(mail)) ||
				!slices.Contains(ms[0].Flags, "kw") || !slices.Contains(ms[0].Flags, `\Flagged`) || !maps.Equal(ms[0].Annotations, annotations) {
				t.Errorf("%+v", ms)
			}
			if f := u.Folders[inbox("New"+l.Sep()+"Name")]; f == nil || len(f.Messages) != 2 {
				t.Errorf("%+v of %v", f, names)
			}
			if n := len(got.Users[jane].Folders["INBOX"].Messages); n != 1 {
				t.Error("LMTP delivered", n)
			}
			if !slices.Equal(u.Subscribed, []string{"INBOX"}) {
				t.Error(u.Subscribed)
			}
			out, err := l.Tool("ctl_mboxlist", "-d")
			Must(t, err)
			if !strings.Contains(string(out), u.Folders["INBOX"].UniqueID) {
				t.Errorf("%s", out)
			}
			Must(t, l.Stop(), l.Start())
			again, err := l.Truth(alice)
			Must(t, err)
			if len(again.Users[alice].Folders) != len(u.Folders) {
				t.Error("differs after a restart")
			}
		})
	}
}
