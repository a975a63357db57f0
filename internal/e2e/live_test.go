package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/internal/truth"
)

// days are when the runs of these tests are said to have begun.
var days = []string{"2026-11-10", "2026-11-11", "2026-11-12"}

// TestLive changes a live server's mail in three rounds, with a run after each, and compares each date of the mount with what
// IMAP said at that time; then the same with an index rebuilt from the archive.
func TestLive(t *testing.T) {
	layouts := map[string]cyruslab.Options{
		"uuid":           {Conversations: true, DelayedDelete: true},
		"legacy hashed":  {AltNamespace: true, UnixHierarchySep: true, Hash: true, LegacyDirs: true, ImmediateExpunge: true},
		"legacy delayed": {LegacyDirs: true, DelayedDelete: true},
		"domains":        {VirtDomains: "userid", Hash: true, FullDirHash: true, LegacyDirs: true, UnixHierarchySep: true, DelayedDelete: true},
		"partitions":     {SecondPartition: true, MetaFiles: "header index cache annotations", UnixHierarchySep: true},
		"archive":        {Archive: true, AltNamespace: true, UnixHierarchySep: true},
	}
	for name, options := range layouts {
		t.Run(name, func(t *testing.T) {
			users := []string{"alice", "jane_doe"}
			switch {
			case options.VirtDomains != "":
				users = []string{"alice@example.org", "jane.doe@example.net"}
			case options.UnixHierarchySep: // elsewhere 3.6 lists nothing to a user with a dot in the name
				users[1] = "jane.doe"
			}
			lab := cyruslab.Start(t, options)
			lab.MustAddUsers(t, users...)
			store := filepath.Join(t.TempDir(), "store")

			var truths []*truth.Truth
			for round, change := range rounds {
				for _, user := range users {
					change(t, lab, user)
				}
				tr, err := lab.Truth(users...)
				cyruslab.Must(t, err)
				truths = append(truths, tr)
				mustRun(t, 0, "backupd", append([]string{"backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[round] + "T23:55:00Z"}, users...)...)
			}
			mustHold(t, store, users, truths)
			if options.DelayedDelete {
				mustKeepDeleted(t, store, users)
			}
		})
	}
}

// mustKeepDeleted compares the folder that was deleted on the second day, and that the server kept, with what it was on the
// first.
func mustKeepDeleted(t *testing.T, store string, users []string) {
	t.Helper()
	dir, _ := mustMount(t, store)
	for _, user := range users {
		gone, err := filepath.Glob(filepath.Join(dir, user, days[1], ".deleted/Gone/*"))
		if err != nil || len(gone) != 1 {
			t.Fatalf("%s: .deleted/Gone has %v, %v", user, gone, err)
		}
		if deleted, alive := mustTree(t, gone[0]), mustTree(t, filepath.Join(dir, user, days[0], "INBOX/Gone")); messagesOf(deleted) != messagesOf(alive) {
			t.Errorf("%s: .deleted/Gone holds\n%swant\n%s", user, deleted, alive)
		}
	}
}

// messagesOf leaves out the meta files of a tree: the server changes them when it deletes a folder.
func messagesOf(tree string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(tree, "\n"), func(line string) bool { return strings.HasPrefix(line, "cyrus.") }), "\n")
}

// mustHold mounts a store and compares all of its days with what IMAP said then; then does it again with the index made
// anew, and with flags, and compares the trees.
func mustHold(t *testing.T, store string, users []string, truths []*truth.Truth) {
	t.Helper()
	trees := func(equal func(testing.TB, string, *truth.Truth, string), options ...string) (all string) {
		dir, unmount := mustMount(t, store, options...)
		defer unmount()
		for _, user := range users {
			runs := mustList(t, store, user)
			if len(runs) != len(truths) {
				t.Fatalf("%s has %d runs, want %d", user, len(runs), len(truths))
			}
			for i, tr := range truths {
				if runs[i].Date != days[i] {
					t.Errorf("%s: run %d is of %s, want %s", user, i+1, runs[i].Date, days[i])
				}
				equal(t, filepath.Join(dir, user, runs[i].Date), tr, user)
			}
			if latest, err := os.Readlink(filepath.Join(dir, user, "latest")); err != nil || latest != days[len(truths)-1] {
				t.Errorf("%s: latest is %q, %v", user, latest, err)
			}
		}
		return mustTree(t, dir)
	}
	mustRun(t, 0, "backupd", append([]string{"verify", "--store", store}, users...)...)
	before := trees(mustEqual)
	mustRun(t, 0, "backupd", append([]string{"reindex", "--store", store}, users...)...)
	mustRun(t, 0, "backupd", append([]string{"verify", "--store", store}, users...)...)
	if after := trees(mustEqual); after != before {
		t.Errorf("the tree from a rebuilt index differs:\n%s", firstDifference(before, after))
	}
	if flagged := trees(mustEqualFlags, "-o", "flags"); flagged != before {
		t.Errorf("the tree with flags differs:\n%s", firstDifference(before, flagged))
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return "- " + as[i] + "\n+ " + bs[i]
		}
	}
	return fmt.Sprintf("%d and %d lines", len(as), len(bs))
}

// in names a user's own folder as the server's namespace has it; levels are separated by "/".
func in(lab *cyruslab.Lab, folder string) string {
	levels := strings.Split(folder, "/")
	if !lab.Options.UnixHierarchySep {
		for i, l := range levels {
			levels[i] = strings.ReplaceAll(l, ".", "^")
		}
	}
	if !lab.Options.AltNamespace {
		levels = slices.Insert(levels, 0, "INBOX")
	}
	return strings.Join(levels, lab.Sep())
}

// mail composes a message of about size bytes.
func mail(subject string, size int) []byte {
	head := "From: Test <test@example.org>\r\nTo: You <you@example.org>\r\nSubject: " + subject + "\r\nMessage-ID: <" +
		strings.ReplaceAll(subject, " ", ".") + "@example.org>\r\nDate: Tue, 10 Nov 2026 10:00:00 +0000\r\n\r\n"
	line := "The quick brown fox " + subject + "\r\n"
	return []byte(head + strings.Repeat(line, max(1, (size-len(head))/len(line))))
}

func when(n int) time.Time { return time.Unix(1_400_000_000+int64(n)*86_413, 0) }

const (
	umlaut = "Entw&APw-rfe"
	spaces = "A b  c"
	dotted = "v1.2 notes"
)

var rounds = []func(testing.TB, *cyruslab.Lab, string){
	func(t testing.TB, lab *cyruslab.Lab, user string) {
		c := lab.MustLogin(t, user)
		for i := range 12 {
			cyruslab.Must(t, c.Append("INBOX", mail(fmt.Sprint("inbox ", i, " of ", user), 300*i), when(i), [][]string{nil, {`\Seen`}, {`\Seen`, "$Label1"}, {`\Flagged`, "work"}}[i%4]...))
		}
		cyruslab.Must(t, c.Append("INBOX", mail("large", 900_000), when(50)))
		cyruslab.Must(t, lab.Deliver(user, mail("by LMTP to "+user, 1500)))
		for _, f := range []string{"Drafts", "Work", "Work/2026", "Work/2026/Q1", umlaut, spaces, dotted, "Gone", "Again"} {
			cyruslab.Must(t, c.Create(in(lab, f)))
		}
		for i, f := range []string{"Work/2026/Q1", umlaut, spaces, dotted, "Gone", "Again"} {
			for j := range 3 {
				cyruslab.Must(t, c.Append(in(lab, f), mail(fmt.Sprint(f, j), 700), when(100+10*i+j), `\Seen`))
			}
		}
		_, err := c.Select("INBOX")
		cyruslab.Must(t, err, c.Copy("1:3", in(lab, "Drafts")), c.Annotate("2", "/comment", "remember"),
			c.Subscribe("INBOX"), c.Subscribe(in(lab, "Work")),
			c.SetMetadata("INBOX", "/shared/comment", "of all\r\n\"quoted\""), c.SetMetadata("INBOX", "/private/comment", "of "+user),
			c.SetMetadata(in(lab, "Work"), "/private/comment", "of the work"), c.SetMetadata(in(lab, umlaut), "/shared/comment", "Entwürfe"),
			c.SetMetadata(in(lab, "Again"), "/shared/comment", "the first"))
	},
	func(t testing.TB, lab *cyruslab.Lab, user string) {
		c := lab.MustLogin(t, user)
		_, err := c.Select("INBOX")
		cyruslab.Must(t, err,
			c.Store("1", "+FLAGS", `\Answered`, "newkeyword"), c.Store("3", "-FLAGS", "$Label1"), c.Expunge("4:5"),
			c.Move("6", in(lab, umlaut)), c.Append("INBOX", mail("second day", 2000), when(200)), c.Unselect(),
			c.Rename(in(lab, "Work"), in(lab, "Done")), c.Delete(in(lab, "Gone")),
			c.Delete(in(lab, "Again")), c.Create(in(lab, "Again")), c.Append(in(lab, "Again"), mail("again", 600), when(201)),
			c.SetMetadata(in(lab, umlaut), "/shared/comment", ""), c.SetMetadata("INBOX", "/private/comment", "changed"))
		if lab.Options.SecondPartition {
			a, err := lab.Admin()
			cyruslab.Must(t, err)
			defer a.Close()
			inbox := lab.AdminName(user)
			cyruslab.Must(t, a.SetACL(inbox, "cyrus", "lrswipkxtecda"), a.CreateOn(lab.AdminName(user, "OnP2"), "p2"))
			cyruslab.Must(t, c.Append(in(lab, "OnP2"), mail("on p2", 900), when(202)))
		}
		if lab.Options.Archive {
			_, err := lab.Tool("cyr_expire", "-E", "1", "-A", "0")
			cyruslab.Must(t, err)
		}
	},
	func(t testing.TB, lab *cyruslab.Lab, user string) {
		c := lab.MustLogin(t, user)
		_, err := c.Select(in(lab, spaces))
		cyruslab.Must(t, err, c.Expunge("1:*"), c.Unselect(),
			c.Rename(in(lab, "Done/2026/Q1"), in(lab, "Q1 moved")), c.Delete(in(lab, dotted)),
			c.Append(in(lab, "Again"), mail("again, later", 600), when(300), `\Draft`),
			c.SetMetadata(in(lab, "Drafts"), "/private/comment", "new"), c.SetMetadata(in(lab, "Done"), "/private/comment", "done"))
		_, err = c.Select("INBOX")
		cyruslab.Must(t, err, c.Store("7:9", "FLAGS", `\Deleted`), c.Copy("8", in(lab, "Again")), c.Append("INBOX", mail("third day", 64<<10), when(301)))
		_, err = lab.Tool("cyr_expire", "-E", "1", "-X", "0") // purge what was expunged
		cyruslab.Must(t, err)
	},
}
