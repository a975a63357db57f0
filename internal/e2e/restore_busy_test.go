package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"backupfs/internal/cyruslab"
)

// TestRestoreBusy merges messages into a folder in which others append, copy, flag and annotate meanwhile: nobody waits for ever, and
// nobody's messages are lost or have what is another's. Before, a file stands in the way: it stays, and the folder is as it was.
func TestRestoreBusy(t *testing.T) {
	const user, lost = "alice", 150
	lab := cyruslab.Start(t, cyruslab.Options{ImmediateExpunge: true, Conversations: true})
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("INBOX.Work"), c.Create("INBOX.Other"))
	for n := range lost {
		cyruslab.Must(t, c.Append("INBOX.Work", mail(fmt.Sprint("lost ", n), 600), when(n), "kept", `\Seen`))
	}
	_, err := c.Select("INBOX.Work")
	cyruslab.Must(t, err, c.Annotate("1:*", "/comment", "kept"))
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	cyruslab.Must(t, c.Expunge("1:*"), c.Unselect())

	dir, err := lab.Tool("mbpath", "user."+user+".Work")
	cyruslab.Must(t, err)
	way := filepath.Join(strings.TrimSpace(string(dir)), fmt.Sprint(lost+3, "."))
	cyruslab.Must(t, os.WriteFile(way, []byte("mine"), 0o600))
	o := mustRun(t, 1, "backupd", "restore", "--store", store, "--imapd-conf", lab.Conf, "--to", "original", user)
	if b, err := os.ReadFile(way); err != nil || string(b) != "mine" || !strings.Contains(o.stderr, "INBOX.Work: rename "+way+": file exists") {
		t.Errorf("%s holds %q, %v; backupd said\n%s", way, b, err, o.stderr)
	}
	cyruslab.Must(t, os.Remove(way))
	mustFind(t, lab)
	left := filepath.Join(filepath.Dir(way), "backupfs-X-1.tmp") // by one that was killed
	cyruslab.Must(t, os.WriteFile(left, nil, 0o600))

	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	var appended [3]int
	for who := range appended {
		c := lab.MustLogin(t, user)
		group.Go(func() error {
			if _, err := c.Select("INBOX.Work"); err != nil {
				return err
			}
			for n := 0; ctx.Err() == nil; n++ {
				if err := c.Append("INBOX.Work", mail(fmt.Sprint("of ", who, " number ", n), 600), when(1000+n), fmt.Sprint("k", n%5)); err != nil {
					return err
				}
				appended[who]++
				if err := c.Store("*", "+FLAGS", `\Flagged`); err != nil {
					return err
				}
				if err := c.Annotate("*", "/altsubject", "new"); err != nil {
					return err
				}
				if err := c.Copy("*", "INBOX.Other"); err != nil && !strings.Contains(err.Error(), "NO") {
					return err
				}
			}
			return nil
		})
	}
	got := mustRestore(t, lab, store, user, "--folder", "INBOX/Work", "--to", "original")
	cancel()
	cyruslab.Must(t, group.Wait())
	if sum(got) != lost {
		t.Errorf("merged: %d of %d", sum(got), lost)
	}
	tr, err := lab.Truth(user)
	cyruslab.Must(t, err)
	kept, seen := 0, map[uint32]bool{}
	for _, m := range tr.Users[user].Folders["INBOX.Work"].Messages {
		seen[m.UID] = true
		note := m.Annotations["/comment value.priv"] == "kept"
		if strings.Contains(fmt.Sprint(m.Flags), "kept") != note {
			t.Errorf("UID %d has flags %q and annotations %q", m.UID, m.Flags, m.Annotations)
		}
		if note && strings.Contains(fmt.Sprint(m.Flags), `\Seen`) {
			kept++
		}
	}
	if want := lost + appended[0] + appended[1] + appended[2]; kept != lost || len(seen) != want {
		t.Errorf("%d restored messages, %d in all, want %d and %d", kept, len(seen), lost, want)
	}
	t.Logf("meanwhile %v were appended", appended)
	mustFind(t, lab)
}
