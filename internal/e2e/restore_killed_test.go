package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
)

// TestRestoreKilled: whoever is killed when the annotations of messages are there, and the messages are not yet, leaves none of them on a message that
// comes then; and all is brought back when it is called again.
func TestRestoreKilled(t *testing.T) {
	const user, lost = "alice", 5
	lab := cyruslab.Start(t, cyruslab.Options{Syslog: true})
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("INBOX.Work"))
	for n := range lost {
		cyruslab.Must(t, c.Append("INBOX.Work", mail(fmt.Sprint("lost ", n), 600), when(n), `\Seen`))
	}
	_, err := c.Select("INBOX.Work")
	cyruslab.Must(t, err, c.Annotate("1:*", "/comment", "of another"))
	before, err := lab.Truth(user)
	cyruslab.Must(t, err)
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	cyruslab.Must(t, c.Expunge("1:*"), c.Unselect())

	// A cyr_dbtool that does what it has to, says so, and does not end.
	bin := cyruslab.TempDir(t)
	done, end := filepath.Join(bin, "done"), filepath.Join(bin, "end")
	script := fmt.Sprintf("#!/bin/sh\n/usr/lib/cyrus/bin/cyr_dbtool \"$@\" || exit\n: > %s\nread _ < %s\n", done, end)
	cyruslab.Must(t, os.Chmod(bin, 0o777), os.WriteFile(filepath.Join(bin, "cyr_dbtool"), []byte(script), 0o755), exec.Command("mkfifo", "-m", "666", end).Run())
	cmd := exec.Command(filepath.Join(programs, "backupd"), "restore", "--store", store, "--imapd-conf", lab.Conf, "--folder", "INBOX/Work", "--to", "original", user)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	cyruslab.Must(t, cmd.Start())
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(done); err == nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("cyr_dbtool was not called")
		}
	}
	cyruslab.Must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	cyruslab.Must(t, os.WriteFile(end, []byte("\n"), 0))

	cyruslab.Must(t, c.Append("INBOX.Work", mail("new", 700), when(99)))
	tr, err := lab.Truth(user)
	cyruslab.Must(t, err)
	if got := tr.Users[user].Folders["INBOX.Work"].Messages; len(got) != 1 || got[0].Annotations != nil {
		t.Errorf("a new message: %+v", got)
	}
	left, err := filepath.Glob(filepath.Join(lab.Dir, "spool/uuid/*/*/*/backupfs-*.tmp"))
	if err != nil || len(left) != lost {
		t.Fatalf("the one that was killed left %q, %v", left, err)
	}
	if got := mustRestore(t, lab, store, user, "--folder", "INBOX/Work", "--to", "original"); sum(got) != lost {
		t.Errorf("merged: %+v", got)
	}
	tr, err = lab.Truth(user)
	cyruslab.Must(t, err)
	f := tr.Users[user].Folders["INBOX.Work"]
	if len(f.Messages) != lost+1 {
		t.Fatalf("%d messages", len(f.Messages))
	}
	f.Messages = f.Messages[1:]
	sameMessages(t, "called again", before.Users[user].Folders["INBOX.Work"].Messages, f, true)
	mustFind(t, lab)
	mustLogNothing(t, lab)
}
