package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"backupfs/internal/cyruslab"
	"backupfs/lock"
)

// TestRecipes runs the recipes of docs/recovery.md as they stand there against live servers, and compares what IMAP shows then with
// what it showed before the loss.
func TestRecipes(t *testing.T) {
	for layout, options := range map[string]cyruslab.Options{
		"by UniqueID": {UnixHierarchySep: true, AltNamespace: true, Syslog: true},
		"by name":     {UnixHierarchySep: true, AltNamespace: true, LegacyDirs: true, Syslog: true},
	} {
		t.Run(layout, func(t *testing.T) {
			options.Extra = []string{"annotation_allow_undefined: yes"}
			lab := cyruslab.Start(t, options)
			recipesOn(t, lab, map[bool]string{false: "", true: "-by-name"}[options.LegacyDirs])
		})
	}
}

func recipesOn(t *testing.T, lab *cyruslab.Lab, form string) {
	const user = "brong"
	lab.MustAddUsers(t, user, "friend")
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("Contracts"), c.Create("Archive/Old"), c.Subscribe("Contracts"), c.SetACL("Contracts", "friend", "lrs"))
	for i, folder := range []string{"INBOX", "Contracts", "Archive/Old"} {
		for n := range 6 {
			cyruslab.Must(t, c.Append(folder, mail(fmt.Sprint(folder, n), 700), when(10*i+n), [][]string{nil, {`\Seen`}, {`\Flagged`, "work"}}[n%3]...))
		}
	}
	_, err := c.Select("Contracts")
	cyruslab.Must(t, err, c.Annotate("2", "/comment", "signed"), c.AnnotateShared("3:4", "/comment", "to be\r\nsigned"), c.Unselect(),
		c.SetMetadata("Contracts", "/private/comment", "mine"), c.SetMetadata("Contracts", "/shared/comment", "ours"), c.SetMetadata("Archive/Old", "/private/sort", "by date"),
		c.SetMetadata("INBOX", "/shared/comment", "all"))
	// Each has seen something of the other's, and noted it.
	friend := lab.MustLogin(t, "friend")
	cyruslab.Must(t, friend.SetMetadata("Other Users/brong/Contracts", "/private/comment", "his"))
	cyruslab.Must(t, friend.Append("INBOX", mail("to a friend", 600), when(90)), friend.SetACL("INBOX", user, "lrs"))
	_, err = friend.Select("Other Users/brong/Contracts")
	cyruslab.Must(t, err, friend.Store("1:3", "+FLAGS", `\Seen`), friend.Annotate("2:4", "/comment", "read"), friend.Close())
	_, err = c.Select("Other Users/friend")
	cyruslab.Must(t, err, c.Store("1", "+FLAGS", `\Seen`), c.Close())
	before := mustShow(t, lab, user)

	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z")
	mnt, _ := mustMount(t, store)
	recipe := func(name string) {
		mustRecipe(t, lab, filepath.Join(mnt, user, days[0]), user, name, "store="+store, "date="+days[0])
	}
	same := func(what string) {
		t.Helper()
		if after := mustShow(t, lab, user); after != before {
			t.Errorf("%s: IMAP shows otherwise:\n%s", what, firstDifference(before, after))
		}
	}
	truthBefore, err := lab.Truth(user)
	cyruslab.Must(t, err)

	// Messages: new UIDs, no flags, and the others as they were.
	c = lab.MustLogin(t, user)
	_, err = c.Select("Contracts")
	cyruslab.Must(t, err, c.Expunge("2:3"), c.Close())
	_, err = lab.Tool("cyr_expire", "-E", "1", "-X", "0")
	cyruslab.Must(t, err)
	recipe("messages")
	after, err := lab.Truth(user)
	cyruslab.Must(t, err)
	have, want := after.Users[user].Folders["Contracts"].Messages, slices.Clone(truthBefore.Users[user].Folders["Contracts"].Messages)
	for i := range have {
		have[i].Flags = nil
	}
	for i := range want {
		want[i].Flags = nil
	}
	want[1].UID, want[2].UID = 7, 8
	want[1].Annotations, want[2].Annotations = nil, nil
	want = slices.Concat(want[:1], want[3:], want[1:3])
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("messages: IMAP shows\n%v\nwant\n%v", have, want)
	}

	c = lab.MustLogin(t, user)
	cyruslab.Must(t, c.Delete("Contracts"))
	recipe("folder" + form)
	recipe("metadata")
	same("folder")

	c = lab.MustLogin(t, user)
	_, err = c.Select("Contracts")
	cyruslab.Must(t, err, c.Store("1:*", "-FLAGS", "work", `\Seen`), c.Expunge("4:5"), c.Unselect(), lab.Stop())
	recipe("state")
	cyruslab.Must(t, lab.Start())
	same("state")

	admin, err := lab.Admin()
	cyruslab.Must(t, err)
	inbox := lab.AdminName(user)
	cyruslab.Must(t, admin.SetACL(inbox, "cyrus", "lrswipkxtecda"), admin.Delete(inbox), admin.Close())
	recipe("account" + form)
	recipe("metadata")
	same("account")
	mustLogNothing(t, lab)
	for _, dir := range []string{"/spool", "/conf/user"} {
		mustBelong(t, lab, lab.Dir+dir)
	}
}

// mustLogNothing looks that the server found nothing wrong.
func mustLogNothing(t *testing.T, lab *cyruslab.Lab) {
	t.Helper()
	lines, err := lab.Logged()
	cyruslab.Must(t, err)
	for _, line := range lines {
		t.Errorf("the server logged: %s", line)
	}
}

// mustBelong looks that all below a folder is the server's own.
func mustBelong(t *testing.T, lab *cyruslab.Lab, dir string) {
	t.Helper()
	server, err := lock.OwnerOf(lab.Dir + "/conf/mailboxes.db")
	cyruslab.Must(t, err, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			var owner lock.Owner
			if owner, err = lock.OwnerOf(path); err == nil && owner != server {
				t.Errorf("%s belongs to %+v, the server is %+v", path, owner, server)
			}
		}
		return err
	}))
}

// mustRecipe runs a recipe of docs/recovery.md, with the settings of this server.
func mustRecipe(t *testing.T, lab *cyruslab.Lab, day, user, name string, settings ...string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/recovery.md")
	cyruslab.Must(t, err)
	m := regexp.MustCompile("(?s)<!-- recipe:" + name + " -->\n```\n(.*?)```").FindSubmatch(doc)
	if m == nil {
		t.Fatalf("docs/recovery.md has no recipe %s", name)
	}
	bin := t.TempDir()
	for tool, does := range map[string]string{
		"mbpath":      "exec /usr/lib/cyrus/bin/mbpath -C " + lab.Conf + ` "$@"`,
		"reconstruct": "exec /usr/lib/cyrus/bin/reconstruct -C " + lab.Conf + ` "$@"`,
		"backupd":     "PATH=/usr/bin:/bin exec " + filepath.Join(programs, "backupd") + ` "$@" --imapd-conf ` + lab.Conf, // the tools here are not for user cyrus
	} {
		script := "#!/bin/sh\n" + does + "\n"
		cyruslab.Must(t, os.WriteFile(filepath.Join(bin, tool), []byte(script), 0o755))
	}
	cmd := exec.Command("bash", "-eu", "-c", string(m[1]))
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "day="+day, "user="+user, "spool="+lab.Dir+"/spool", "conf="+lab.Dir+"/conf")
	cmd.Env = append(cmd.Env, settings...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("recipe %s: %v\n%s", name, err, out)
	}
	t.Logf("recipe %s:\n%s", name, out)
	mustFinish(t, lab)
}

// mustShow is all that IMAP shows of a user, in lines: what a truth has, and what one sees and has noted in the other's folder.
func mustShow(t *testing.T, lab *cyruslab.Lab, user string) string {
	t.Helper()
	tr, err := lab.Truth(user)
	cyruslab.Must(t, err)
	lines := []string{"subscribed " + strings.Join(tr.Users[user].Subscribed, " ")}
	for name, f := range tr.Users[user].Folders {
		lines = append(lines, fmt.Sprintf("%s %s %d %q", name, f.UniqueID, f.UIDValidity, f.Metadata))
		for _, m := range f.Messages {
			m.Flags = slices.DeleteFunc(slices.Clone(m.Flags), func(f string) bool { return f == `\Recent` })
			slices.Sort(m.Flags)
			lines = append(lines, fmt.Sprintf("%s %+v", name, m))
		}
	}
	for login, folder := range map[string]string{user: "Other Users/friend", "friend": "Other Users/" + user + "/Contracts"} {
		c := lab.MustLogin(t, login)
		metadata, err := c.Metadata(folder)
		cyruslab.Must(t, err)
		_, err = c.Examine(folder)
		cyruslab.Must(t, err)
		noted, err := c.Cmd("UID FETCH 1:* (FLAGS ANNOTATION (/comment (value.priv value.shared)))")
		cyruslab.Must(t, err, c.Close())
		lines = append(lines, fmt.Sprintf("%s %q", folder, metadata))
		for _, l := range noted {
			lines = append(lines, strings.ReplaceAll(fmt.Sprintf("%s %q", folder, l), ` "\\Recent"`, ""))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
