package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/internal/cyruslab"
)

// TestShortList: the server's own tool lists the mailboxes of a damaged mailboxes.db as far as it gets, and says that all is well. No folder and
// no user is forgotten silently; and none is asked for that was deleted.
func TestShortList(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{LegacyDirs: true})
	lab.MustAddUsers(t, "alice", "bob", "carol")
	cyruslab.Must(t, lab.MustLogin(t, "alice").Create("INBOX.Work"))
	store := filepath.Join(t.TempDir(), "store")
	n := 0
	backup := func(code int) output {
		t.Helper()
		n++
		return mustRun(t, code, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", fmt.Sprintf("2026-11-%02dT12:00:00Z", n))
	}
	backup(0)

	path := os.Getenv("PATH")
	bin := lab.Dir + "/bin"
	tool := bin + "/ctl_mboxlist"
	cyruslab.Must(t, os.Mkdir(bin, 0o755), os.Chmod(bin, 0o755),
		os.WriteFile(tool, []byte("#!/bin/sh\nprintf 'user.alice\\t0 default alice\\tlrswipkxtecda\\t\\n'\n"), 0o755), os.Chmod(tool, 0o755))
	t.Setenv("PATH", bin+":"+path)
	out := backup(3)
	for _, lost := range []string{"alice: INBOX.Work: not listed", "bob: INBOX: not listed", "carol: INBOX: not listed"} {
		if !strings.Contains(out.stderr, lost) {
			t.Errorf("no word of %q in:\n%s", lost, out.stderr)
		}
	}
	if runs := mustList(t, store, "alice"); len(runs) != 2 || runs[1].Folders != 2 {
		t.Errorf("alice has lost a folder: %+v", runs)
	}

	t.Setenv("PATH", path)
	admin, err := lab.Admin()
	cyruslab.Must(t, err, admin.SetACL("user.bob", "cyrus", "lrswipkxtecda"), admin.Delete("user.bob"), admin.Close())
	if out := backup(0); strings.Contains(out.stdout+out.stderr, "bob") {
		t.Errorf("bob was deleted:\n%s%s", out.stdout, out.stderr)
	}
}
