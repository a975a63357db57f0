package source_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// mustTool makes a ctl_mboxlist that prints what the server's own does as far as the INBOX, well-formed, and says that all is well: so it
// does when mailboxes.db is damaged.
func mustTool(t *testing.T, lab *cyruslab.Lab) string {
	t.Helper()
	inbox := mustMailboxes(t, mustOpen(t, lab, ""))[0]
	mbtype := "e"
	if inbox.Legacy {
		mbtype = "el"
	}
	tool := filepath.Join(lab.Dir, "short")
	list := fmt.Sprintf(`{"%s":{"mbtype":"%s","partition":"default","uniqueid":"%s"}}`, inbox.Name, mbtype, inbox.UniqueID)
	cyruslab.Must(t, os.WriteFile(tool, []byte("#!/bin/sh\necho '"+list+"'\n"), 0o755), os.Chmod(tool, 0o755))
	return tool
}

// mustVanish asks about one mailbox.
func mustVanish(t *testing.T, l *source.Local, k source.Known) error {
	t.Helper()
	why, err := l.Vanished(t.Context(), "alice", []source.Known{k})
	if err != nil || len(why) != 1 {
		t.Fatal(why, err)
	}
	return why[0]
}

// TestVanished: only what was deleted or renamed is gone.
func TestVanished(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		t.Run(fmt.Sprint("legacy=", legacy), func(t *testing.T) {
			lab := mustServer(t, cyruslab.Options{LegacyDirs: legacy, SecondPartition: true}) // on which there is nothing
			c := lab.MustLogin(t, "alice")
			for _, box := range []string{"Deleted", "Renamed", "Renewed"} {
				cyruslab.Must(t, c.Create("INBOX."+box), c.Append("INBOX."+box, []byte("Subject: x\r\n\r\nx\r\n"), time.Time{}))
			}
			known := map[string]source.Known{}
			var work cyrus.Paths
			conf, err := cyrus.LoadConfig(lab.Conf)
			cyruslab.Must(t, err)
			for _, m := range mustMailboxes(t, mustOpen(t, lab, "")) {
				known[m.Archived] = source.Known{Archived: m.Archived, UniqueID: m.UniqueID}
				if m.Archived == "INBOX.Work" {
					work, err = conf.Paths(m.Mailbox)
					cyruslab.Must(t, err)
				}
			}
			cyruslab.Must(t, c.Delete("INBOX.Deleted"), c.Rename("INBOX.Renamed", "INBOX.New"), c.Delete("INBOX.Renewed"), c.Create("INBOX.Renewed"))

			whole, short, walk := mustOpen(t, lab, ""), mustOpen(t, lab, mustTool(t, lab)), mustOpen(t, lab, source.NoMboxlist)
			for _, box := range []string{"INBOX.Deleted", "INBOX.Renamed"} {
				if why := mustVanish(t, whole, known[box]); why != nil {
					t.Errorf("%s: %v", box, why)
				}
			}
			if why := mustVanish(t, whole, known["INBOX.Renewed"]); why == nil || !strings.Contains(why.Error(), "listed") {
				t.Errorf("made anew: %v", why)
			}
			if why := mustVanish(t, walk, known["INBOX.Deleted"]); why == nil || !strings.Contains(why.Error(), "mounted") {
				t.Errorf("it may have been on a partition that is empty: %v", why)
			}
			// The list ends early.
			for box, gone := range map[string]bool{"INBOX.Work": false, "INBOX.Renamed": legacy, "INBOX.Renewed": true, "INBOX.Deleted": true} {
				if why := mustVanish(t, short, known[box]); (why == nil) != gone {
					t.Errorf("%s, not on a list that ends early: %v", box, why)
				}
			}
			noID := source.Known{Archived: "INBOX.Work"}
			if why := mustVanish(t, short, noID); (why != nil) != legacy {
				t.Errorf("no UniqueID: %v", why)
			}
			b, err := os.ReadFile(work.Header)
			cyruslab.Must(t, err, os.WriteFile(work.Header, b[:len(b)/2], 0o600))
			if why := mustVanish(t, short, known["INBOX.Work"]); why == nil {
				t.Error("its header is damaged: gone")
			}
			cyruslab.Must(t, os.Remove(work.Header))
			if why := mustVanish(t, short, known["INBOX.Work"]); why == nil {
				t.Error("its header is lost: gone")
			}
			// The server is just removing it.
			source.WhileRemoving(t, func() { cyruslab.Must(t, os.RemoveAll(work.Data)) })
			if why := mustVanish(t, short, known["INBOX.Work"]); why != nil {
				t.Error(why)
			}
			spool := lab.Dir + "/spool"
			cyruslab.Must(t, os.Rename(spool, spool+".unmounted"), os.Mkdir(spool, 0o700))
			for name, l := range map[string]*source.Local{"whole": whole, "short": short, "walk": walk} {
				if why := mustVanish(t, l, known["INBOX.Deleted"]); why == nil || !strings.Contains(why.Error(), "mounted") {
					t.Errorf("partition is not mounted, list %s: %v", name, why)
				}
			}
		})
	}
}

// TestTwoLists: a mailbox is gone only if two lists in a row lack it, which need not be new for each question.
func TestTwoLists(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	tool := filepath.Join(lab.Dir, "counted")
	script := "#!/bin/sh\necho >>" + lab.Dir + "/spool/count\nexec /usr/lib/cyrus/bin/ctl_mboxlist \"$@\"\n"
	cyruslab.Must(t, os.WriteFile(tool, []byte(script), 0o755), os.Chmod(tool, 0o755), os.Chmod(lab.Dir+"/spool", 0o777))
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf, MboxlistCommand: tool, MaxListAge: time.Hour})
	cyruslab.Must(t, err)
	work := mustMailboxes(t, l)[1]
	lists := func() int {
		b, err := os.ReadFile(lab.Dir + "/spool/count")
		cyruslab.Must(t, err)
		return len(b)
	}
	cyruslab.Must(t, lab.MustLogin(t, "alice").Delete("INBOX.Work"))
	if _, err := l.Users(t.Context()); err != nil || lists() != 2 {
		t.Fatal(err, lists())
	}
	for range 3 {
		if why := mustVanish(t, l, source.Known{Archived: work.Archived, UniqueID: work.UniqueID}); why != nil || lists() != 3 {
			t.Errorf("%v, %d lists", why, lists())
		}
	}
}

// TestVanishedNames: the names of users with dots and domains, of deleted and of shared mailboxes.
func TestVanishedNames(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{LegacyDirs: true, UnixHierarchySep: true, VirtDomains: "userid", DelayedDelete: true, Hash: true})
	user := "jane.doe@example.org"
	lab.MustAddUsers(t, "alice", user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("INBOX/v1.2 notes"), c.Create("INBOX/Gone"), c.Delete("INBOX/Gone"))
	admin, err := lab.Admin()
	cyruslab.Must(t, err, admin.Create("shared/news"), admin.Close())
	whole, short := mustOpen(t, lab, ""), mustOpen(t, lab, mustTool(t, lab))
	for owner, n := range map[string]int{user: 3, source.SharedUser: 2} {
		boxes, err := whole.Mailboxes(t.Context(), owner)
		if err != nil || len(boxes) != n {
			t.Fatal(boxes, err)
		}
		for _, m := range boxes {
			why, err := short.Vanished(t.Context(), owner, []source.Known{{Archived: m.Archived}})
			if err != nil || why[0] == nil {
				t.Errorf("%s is found by its name: %v", m.Name, err)
			}
		}
	}
}

// TestWalkDoubts: what a walk may lack is told, once, and nothing is gone meanwhile.
func TestWalkDoubts(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{SecondPartition: true})
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	boxes := mustMailboxes(t, mustOpen(t, lab, ""))
	p, err := conf.Paths(boxes[1].Mailbox)
	cyruslab.Must(t, err)
	none := source.Known{Archived: "INBOX.None", UniqueID: "none"}
	l := mustOpen(t, lab, source.NoMboxlist)
	vanishes := func() error {
		if _, err := l.Users(t.Context()); err != nil {
			t.Fatal(err)
		}
		return mustVanish(t, l, none)
	}
	told := func() string {
		_, problems := l.Listing()
		return fmt.Sprint(len(problems), problems)
	}

	if why := vanishes(); why == nil || !strings.HasPrefix(told(), "1 ") || !strings.Contains(told(), "spool2") {
		t.Errorf("a partition is empty: %v; %s", why, told())
	}
	cyruslab.Must(t, os.Mkdir(lab.Dir+"/spool2/stage.", 0o700))
	if why := vanishes(); why != nil {
		t.Error(why)
	}
	cyruslab.Must(t, os.Rename(p.Header, p.Header+".away"))
	for range 2 {
		if why := vanishes(); why == nil || !strings.HasPrefix(told(), "2 ") || !strings.Contains(told(), p.Index) {
			t.Errorf("a header is lost: %v; %s", why, told())
		}
	}
	cyruslab.Must(t, os.Rename(p.Header+".away", p.Header))
	if why := vanishes(); why != nil || !strings.HasPrefix(told(), "2 ") {
		t.Errorf("all is well again: %v; %s", why, told())
	}
	source.WhileRemoving(t, func() { cyruslab.Must(t, os.Remove(p.Index)) })
	cyruslab.Must(t, os.Remove(p.Header))
	if _, err := l.Users(t.Context()); err != nil || !strings.HasPrefix(told(), "2 ") {
		t.Error(err, told())
	}
}

// TestGoneIsForgotten: after ErrGone the mailboxes are listed anew, however old the last list may be.
func TestGoneIsForgotten(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{LegacyDirs: true})
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf, MaxListAge: time.Hour})
	cyruslab.Must(t, err)
	old := mustMailboxes(t, l)[1]
	c := lab.MustLogin(t, "alice")
	cyruslab.Must(t, c.Delete("INBOX.Work"), c.Create("INBOX.Work"), c.Append("INBOX.Work", []byte("Subject: x\r\n\r\nx\r\n"), time.Time{}))
	if _, err := l.Fetch(t.Context(), old, nothing, nil); !errors.Is(err, source.ErrGone) {
		t.Errorf("made anew: %v", err)
	}
	m := mustMailboxes(t, l)[1]
	if snap, err := l.Fetch(t.Context(), m, nothing, nil); err != nil || snap.Index.Exists != 1 || m.UniqueID == old.UniqueID {
		t.Errorf("%v, %v", m, err)
	}
	// Of one whose index says that it is being deleted.
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	p, err := conf.Paths(m.Mailbox)
	cyruslab.Must(t, err)
	changeIndex(t, p.Index, func(ix *cyrus.Index) { ix.Options |= 1 << 31 })
	if _, err := l.Fetch(t.Context(), m, nothing, nil); !errors.Is(err, source.ErrGone) {
		t.Error(err)
	}
	cyruslab.Must(t, c.Create("INBOX.More"))
	if boxes := mustMailboxes(t, l); len(boxes) != 3 {
		t.Errorf("an old list: %v", boxes)
	}
}
