package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/cyruslab"
	"backupfs/internal/store"
)

// TestRestoreIMAP brings lost mail back by IMAP alone, as the administrator for a user, into servers that call folders differently.
func TestRestoreIMAP(t *testing.T) {
	for name, options := range map[string]cyruslab.Options{
		"dots":    {},
		"slashes": {AltNamespace: true, UnixHierarchySep: true},
		"domains": {VirtDomains: "userid", UnixHierarchySep: true},
	} {
		t.Run(name, func(t *testing.T) {
			user := "alice"
			if options.VirtDomains != "" {
				user = "alice@example.org"
			}
			options.Extra = []string{"failedloginpause: 0", "sasl_pwcheck_method: alwaystrue"} // who may act for whom is still the server's to say
			lab := cyruslab.Start(t, options)
			lab.MustAddUsers(t, user, strings.Replace(user, "alice", "bob", 1))
			restoreByIMAP(t, lab, user)
		})
	}
}

func restoreByIMAP(t *testing.T, lab *cyruslab.Lab, user string) {
	c := lab.MustLogin(t, user)
	work, sub, empty := in(lab, "Work"), in(lab, "Sub/"+umlaut), in(lab, "Empty")
	cyruslab.Must(t, c.Create(work), c.Create(sub), c.Create(empty))
	for i, folder := range []string{"INBOX", work, sub} {
		for n := range 9 {
			cyruslab.Must(t, c.Append(folder, mail(fmt.Sprint("message ", i, n), 700), when(10*i+n), [][]string{nil, {`\Seen`, "one"}, {`\Flagged`, "two", `\Answered`}}[n%3]...))
		}
	}
	cyruslab.Must(t, c.Subscribe(sub), c.Subscribe("INBOX"), c.SetMetadata(sub, "/private/comment", "mine (\\)"), c.SetMetadata(sub, "/shared/comment", "Entwürfe"),
		c.SetMetadata(work, "/private/comment", "as it was"))
	others := mustShareWith(t, lab, user)
	for _, name := range others {
		cyruslab.Must(t, c.Subscribe(name))
	}
	before, err := lab.Truth(user)
	cyruslab.Must(t, err)
	if len(before.Users[user].Subscribed) != 2+len(others) {
		t.Fatalf("subscribed to %q", before.Users[user].Subscribed)
	}
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	const secret = "open-sesame"
	password := filepath.Join(t.TempDir(), "password")
	cyruslab.Must(t, os.WriteFile(password, []byte(secret+"\n"), 0o600))
	url := fmt.Sprintf("imap://cyrus@127.0.0.1:%d", lab.Port)
	restore := func(args ...string) []restoredFolder {
		t.Helper()
		return mustRestore(t, lab, store, user, append([]string{"--imap", url, "--password-file", password}, args...)...)
	}

	if got := restore("--missing", "--to", "original"); sum(got) != 0 {
		t.Errorf("nothing was lost, and back came %+v", got)
	}
	restore("--dry-run")
	if tr, err := lab.Truth(user); err != nil || len(tr.Users[user].Folders) != len(before.Users[user].Folders) {
		t.Errorf("a dry run made folders: %v", err)
	}
	if got := restore(); sum(got) != 27 || got[0].UIDs["9"] != 9 {
		t.Errorf("back came %+v", got)
	}
	after, err := lab.Truth(user)
	cyruslab.Must(t, err)
	for name, f := range before.Users[user].Folders {
		sameMessages(t, "RESTORED "+name, f.Messages, after.Users[user].Folders[in(lab, "RESTORED/"+days[0]+"/"+inTree(lab, name))], false)
		sameMessages(t, name, f.Messages, after.Users[user].Folders[name], false)
	}
	if got := restore(); sum(got) != 0 {
		t.Errorf("the second time came %+v", got)
	}
	if got := restore("--missing", "--to", "dir:"+t.TempDir()); sum(got) != 0 {
		t.Errorf("nothing is missing, and to files came %+v", got)
	}

	// What is lost comes, to where it was.
	_, err = c.Select(work)
	cyruslab.Must(t, err, c.Expunge("2:4"), c.Unselect(), c.Delete(sub), c.Delete(empty), c.Unsubscribe(sub), c.Unsubscribe(others[0]), c.Unsubscribe(others[1]), c.SetMetadata(work, "/private/comment", "as it is"))
	if got := restore("--to", "original", "--with", "subscriptions,annotations", "--dry-run"); sum(got) != 12 {
		t.Errorf("would be merged: %+v", got)
	}
	if got := restore("--to", "original", "--with", "subscriptions,annotations"); sum(got) != 12 {
		t.Errorf("merged: %+v", got)
	}
	after, err = lab.Truth(user)
	cyruslab.Must(t, err)
	for name, f := range before.Users[user].Folders {
		sameMessages(t, "original "+name, f.Messages, after.Users[user].Folders[name], true)
	}
	if got := after.Users[user].Subscribed; !slices.Equal(got, before.Users[user].Subscribed) {
		t.Errorf("subscribed to %q", got)
	}
	if got := after.Users[user].Folders[sub]; got != nil && !maps.Equal(got.Metadata, before.Users[user].Folders[sub].Metadata) {
		t.Errorf("METADATA: %q", got.Metadata)
	}
	if got := after.Users[user].Folders[work].Metadata["/private/comment"]; got != "as it is" {
		t.Errorf("METADATA was written over: %q", got)
	}
	mustBelong(t, lab, lab.Dir+"/spool")

	// The user himself; and somebody who may not act for him.
	o := mustRun(t, 0, "backupd", "restore", "--store", store, user, "--dry-run", "--imap", strings.Replace(url, "cyrus@", "", 1), "--password-file", password)
	if !strings.Contains(o.stdout, "27 there already") {
		t.Errorf("backupd said %s", o.stdout)
	}
	o = mustRun(t, 1, "backupd", "restore", "--store", store, user, "--imap", strings.Replace(url, "cyrus@", "mallory@", 1), "--password-file", password)
	if !strings.Contains(o.stderr, "login as mallory for "+user) || strings.Contains(o.stderr, secret) {
		t.Errorf("backupd said %s", o.stderr)
	}
}

// mustShareWith makes a folder of bob's and one of nobody's, which a user may read, and returns what he calls them.
func mustShareWith(t *testing.T, lab *cyruslab.Lab, user string) []string {
	t.Helper()
	bob := lab.MustLogin(t, strings.Replace(user, "alice", "bob", 1))
	folder := in(lab, umlaut)
	admin, err := lab.Admin()
	domain := strings.TrimPrefix(user, "alice")
	cyruslab.Must(t, err, bob.Create(folder), bob.SetACL(folder, user, "lrs"), admin.Create("info"+domain), admin.SetACL("info"+domain, user, "lrs"), admin.Close())
	others, shared := "user", ""
	if lab.Options.AltNamespace {
		others, shared = "Other Users", "Shared Folders"+lab.Sep()
	}
	return []string{others + lab.Sep() + "bob" + lab.Sep() + umlaut, shared + "info"}
}

// TestRestoreIMAPRefused: a message that the server will not have stops no other.
func TestRestoreIMAPRefused(t *testing.T) {
	const user = "alice"
	lab := cyruslab.Start(t, cyruslab.Options{Extra: []string{"sasl_pwcheck_method: alwaystrue"}})
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	for n, size := range []int{700, 3000, 20_000, 700} {
		cyruslab.Must(t, c.Append("INBOX", mail(fmt.Sprint("message ", n), size), when(n)))
	}
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	conf, err := os.ReadFile(lab.Conf)
	cyruslab.Must(t, err, os.WriteFile(lab.Conf, append(conf, "maxmessagesize: 1000\n"...), 0o644), lab.Stop(), lab.Start())
	password := filepath.Join(t.TempDir(), "password")
	cyruslab.Must(t, os.WriteFile(password, []byte("any"), 0o600))
	o := mustRun(t, 3, "backupd", "restore", "--store", store, user, "--imap", fmt.Sprintf("imap://cyrus@localhost:%d", lab.Port), "--password-file", password)
	if !strings.Contains(o.stderr, "INBOX: UID 2: ") || !strings.Contains(o.stderr, "INBOX: UID 3: ") || !strings.Contains(o.stdout, "INBOX: 2 messages") {
		t.Errorf("backupd said\n%s%s", o.stdout, o.stderr)
	}
}

// TestRestoreIMAPLarge: a message that is larger than the memory for it comes back whole; of one that proves damaged when a part of it was sent, the
// server has nothing.
func TestRestoreIMAPLarge(t *testing.T) {
	const user, size = "alice", 100 << 20
	lab := cyruslab.Start(t, cyruslab.Options{Extra: []string{"sasl_pwcheck_method: alwaystrue"}})
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Append("INBOX", mail("damaged", 2<<20), when(1)), c.Append("INBOX", mail("large", size), when(2)), c.Append("INBOX", mail("small", 700), when(3)))
	before, err := lab.Truth(user)
	cyruslab.Must(t, err)
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	mustSpoil(t, store, user, 1<<20)
	_, err = c.Select("INBOX")
	cyruslab.Must(t, err, c.Expunge("1:3"), c.Unselect())
	password := filepath.Join(t.TempDir(), "password")
	cyruslab.Must(t, os.WriteFile(password, []byte("any"), 0o600))
	o, memory := mustTakeMemory(t, "backupd", "restore", "--store", store, user, "--to", "original", "--imap", fmt.Sprintf("imap://cyrus@localhost:%d", lab.Port), "--password-file", password)
	if o.code != 5 || !strings.Contains(o.stdout, "INBOX: UID 1: ") || !strings.Contains(o.stdout, "INBOX: 2 messages") {
		t.Errorf("backupd said, with exit code %d,\n%s", o.code, o.stdout)
	}
	if t.Logf("a restore of %d MiB took %d MiB of memory", size>>20, memory>>20); memory == 0 || memory > size*3/4 {
		t.Errorf("a restore of %d MiB took %d MiB of memory", size>>20, memory>>20)
	}
	after, err := lab.Truth(user)
	cyruslab.Must(t, err)
	sameMessages(t, "INBOX", before.Users[user].Folders["INBOX"].Messages[1:], after.Users[user].Folders["INBOX"], true)
}

// mustSpoil damages the member of a user's archive that holds a place in the tar.
func mustSpoil(t *testing.T, dir, user string, tar int64) {
	t.Helper()
	s, err := store.Open(dir)
	cyruslab.Must(t, err)
	u, err := s.User(user)
	cyruslab.Must(t, err)
	path, err := u.Archive()
	cyruslab.Must(t, err)
	ix, err := index.OpenRead(u.Index())
	cyruslab.Must(t, err)
	m, err := ix.Member(tar)
	cyruslab.Must(t, err, ix.Close())
	b, err := os.ReadFile(path)
	cyruslab.Must(t, err)
	clear(b[m.File+archive.MemberHeaderSize : m.End().File])
	cyruslab.Must(t, os.WriteFile(path, b, 0o600))
}

// mustTakeMemory runs a program, and returns all that it said, and the most memory that it was seen to take.
func mustTakeMemory(t *testing.T, name string, args ...string) (o output, most int64) {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cyruslab.Must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)) // gone when it has ended
		for line := range strings.Lines(string(status)) {
			var kib int64
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
				most = max(most, kib<<10)
			}
		}
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			return output{stdout: said.String(), code: cmd.ProcessState.ExitCode()}, most
		case <-time.After(10 * time.Millisecond):
		}
	}
}
