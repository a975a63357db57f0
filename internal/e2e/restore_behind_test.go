package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/internal/cyruslab"
)

// mustFinish waits for what restores have left to the background.
func mustFinish(t *testing.T, lab *cyruslab.Lab) {
	t.Helper()
	conf, err := os.Open(lab.Dir + "/conf")
	cyruslab.Must(t, err)
	defer conf.Close()
	cyruslab.Must(t, unix.Flock(int(conf.Fd()), unix.LOCK_EX))
}

var recent = regexp.MustCompile(` \\Recent\b|\\Recent ?`)

// asked is what a server answers that knows its messages: from its index, its cache, its threads.
func asked(t *testing.T, lab *cyruslab.Lab, user, folder string) (answers string) {
	t.Helper()
	c := lab.MustLogin(t, user)
	_, err := c.Select(folder)
	cyruslab.Must(t, err)
	for _, cmd := range []string{"FETCH 1:* (FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE THREADID EMAILID)", "SEARCH SUBJECT 3", "SORT (REVERSE SUBJECT) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL", "SEARCH BODY line"} {
		rs, err := c.Cmd(cmd)
		cyruslab.Must(t, err)
		for _, r := range rs {
			answers += recent.ReplaceAllString(fmt.Sprintln(r), "")
		}
	}
	cyruslab.Must(t, c.Close())
	return answers
}

// heldTools is a folder of a reconstruct that says who called it and waits until it is let go. Then it does what it is for, unless the one who called
// it is gone.
func heldTools(t *testing.T) (path string, caller func() int, release func()) {
	bin := cyruslab.TempDir(t)
	called, end := filepath.Join(bin, "called"), filepath.Join(bin, "end")
	script := fmt.Sprintf("#!/bin/sh\necho $PPID > %[1]s.new; mv %[1]s.new %[1]s\nread _ < %[2]s\nkill -0 $PPID || exit\nexec /usr/lib/cyrus/bin/reconstruct \"$@\"\n", called, end)
	cyruslab.Must(t, os.Chmod(bin, 0o777), os.WriteFile(filepath.Join(bin, "reconstruct"), []byte(script), 0o755), exec.Command("mkfifo", "-m", "666", end).Run())
	caller = func() int {
		for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
			if b, err := os.ReadFile(called); err == nil {
				pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
				cyruslab.Must(t, err, os.Remove(called))
				return pid
			}
		}
		t.Fatal("reconstruct was not called")
		return 0
	}
	return bin, caller, func() { cyruslab.Must(t, os.WriteFile(end, []byte("\n"), 0)) }
}

// TestRestoreBehind: a restore ends when its messages are served, and the server's tools come behind it. Whoever kills them leaves a folder that the server
// mends by itself, and which the next call finishes: it then knows its messages as it did before the loss. No daemon logs an error meanwhile.
func TestRestoreBehind(t *testing.T) {
	const user, lost = "alice", 12
	lab := cyruslab.Start(t, cyruslab.Options{ImmediateExpunge: true, Conversations: true, Syslog: true, Extra: []string{"statuscache: yes"}})
	lab.MustAddUsers(t, user)
	admin, err := lab.Admin()
	cyruslab.Must(t, err)
	_, err = admin.Cmd("SETQUOTA", cyruslab.Quote(lab.AdminName(user)), "(STORAGE 100000 MESSAGE 1000)")
	cyruslab.Must(t, err, admin.Close())
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("INBOX.Work"), c.Create("INBOX.Gone"))
	for _, folder := range []string{"INBOX.Work", "INBOX.Gone"} {
		for n := range lost {
			cyruslab.Must(t, c.Append(folder, mail(fmt.Sprint("lost ", n), 600), when(n), [][]string{nil, {`\Seen`}, {`\Flagged`, "work"}}[n%3]...))
		}
	}
	folders := []string{"INBOX.Work", "INBOX.Gone"}
	before := map[string]string{}
	for _, folder := range folders {
		before[folder] = asked(t, lab, user, folder)
	}
	same := func(what string) {
		t.Helper()
		for _, folder := range folders {
			if after := asked(t, lab, user, folder); after != before[folder] {
				t.Errorf("%s: %s: the server answers otherwise:\n%s", what, folder, firstDifference(before[folder], after))
			}
		}
		mustFind(t, lab)
		if out, err := lab.Tool("mbexamine", "-q", lab.AdminName(user, "Work")); err != nil || !strings.Contains(string(out), "has CORRECT") || strings.Contains(string(out), "INCORRECT") {
			t.Errorf("%s: mbexamine: %v\n%s", what, err, out)
		}
	}
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	lose := func() {
		_, err := c.Select("INBOX.Work")
		cyruslab.Must(t, err, c.Expunge("1:*"), c.Unselect(), c.Delete("INBOX.Gone"))
		_, err = c.Cmd("STATUS INBOX.Work (MESSAGES UNSEEN)") // what the server remembers of it
		cyruslab.Must(t, err)
	}
	restore := []string{"restore", "--store", store, "--imapd-conf", lab.Conf, "--to", "original", user}

	lose()
	o := mustRun(t, 0, "backupd", restore...)
	if !strings.Contains(o.stdout, "in the background") {
		t.Errorf("backupd said\n%s", o.stdout)
	}
	mustFinish(t, lab)
	same("finished behind")
	lose()
	mustRun(t, 0, "backupd", append(restore, "--wait")...)
	same("waited for")

	lose()
	bin, caller, release := heldTools(t)
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+":"+path)
	mustRun(t, 0, "backupd", append(restore, "--folder", "INBOX/Work")...)
	finisher := caller()
	rs, err := c.Cmd("STATUS INBOX.Work (MESSAGES UNSEEN)")
	if err != nil || !strings.Contains(fmt.Sprint(rs), fmt.Sprintf("MESSAGES %d UNSEEN %d", lost, lost*2/3)) {
		t.Errorf("STATUS says %v, %v", rs, err)
	}
	cyruslab.Must(t, unix.Kill(finisher, unix.SIGKILL))
	t.Setenv("PATH", path)
	release()
	if n, err := c.Select("INBOX.Work"); err != nil || n != lost { // the STATUS had the server fill its cache
		t.Errorf("%d messages, %v", n, err)
	}
	_, err = c.Cmd("FETCH 1:* (ENVELOPE)")
	cyruslab.Must(t, err, c.Unselect())
	o = mustRun(t, 0, "backupd", append(restore, "--wait")...)
	if !strings.Contains(o.stdout, fmt.Sprint(lost, " there already")) {
		t.Errorf("called again, backupd said\n%s", o.stdout)
	}
	same("killed, and called again")
	if o := mustRun(t, 0, "backupd", "finish", "--imapd-conf", lab.Conf, user); o.stdout != user+": 0 folders finished\n" {
		t.Errorf("nothing is left, and backupd said\n%s", o.stdout)
	}
	mustLogNothing(t, lab)
}

// TestRestoreUnfinished: a reconstruct that does nothing, and says that all went well, is told; backupd finish makes good for it.
func TestRestoreUnfinished(t *testing.T) {
	const user = "alice"
	lab := cyruslab.Start(t, cyruslab.Options{ImmediateExpunge: true})
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Append("INBOX", mail("lost", 600), when(1), `\Seen`))
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, user)
	_, err := c.Select("INBOX")
	cyruslab.Must(t, err, c.Expunge("1:*"), c.Close())

	bin, path := cyruslab.TempDir(t), os.Getenv("PATH")
	cyruslab.Must(t, os.Chmod(bin, 0o755), os.WriteFile(filepath.Join(bin, "reconstruct"), []byte("#!/bin/sh\n"), 0o755))
	t.Setenv("PATH", bin+":"+path)
	o := mustRun(t, 3, "backupd", "restore", "--store", store, "--imapd-conf", lab.Conf, "--to", "original", "--wait", user)
	if !strings.Contains(o.stderr, "cache of them is not made (reconstruct user."+user+"): reconstruct left messages out of the cache of user."+user+" (1)") {
		t.Errorf("backupd said\n%s", o.stderr)
	}
	t.Setenv("PATH", path)
	if o := mustRun(t, 0, "backupd", "finish", "--imapd-conf", lab.Conf, user); o.stdout != user+": 1 folder finished\n" {
		t.Errorf("backupd said\n%s", o.stdout)
	}
	if o := mustRun(t, 1, "backupd", "finish", "--imapd-conf", lab.Conf, user, "user.mallory"); !strings.Contains(o.stderr, "user.mallory: the user has no such mailbox") {
		t.Errorf("backupd said\n%s", o.stderr)
	}
	mustFind(t, lab)
}
