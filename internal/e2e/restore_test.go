package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/internal/cyruslab"
	"backupfs/internal/truth"
)

// TestRestoreLive brings lost mail back into live servers of several layouts, and compares what IMAP shows with what it showed before
// the loss.
func TestRestoreLive(t *testing.T) {
	for name, options := range map[string]cyruslab.Options{
		"by UniqueID":   {Conversations: true},
		"legacy hashed": {AltNamespace: true, UnixHierarchySep: true, Hash: true, LegacyDirs: true, DelayedDelete: true},
		"domains":       {VirtDomains: "userid", Hash: true, FullDirHash: true, LegacyDirs: true, UnixHierarchySep: true},
		"spread":        {SecondPartition: true, MetaFiles: "header index cache annotations", UnixHierarchySep: true, Archive: true},
	} {
		t.Run(name, func(t *testing.T) {
			user := "alice"
			if options.VirtDomains != "" {
				user = "alice@example.org"
			}
			options.Extra, options.Syslog = []string{"annotation_allow_undefined: yes"}, true
			lab := cyruslab.Start(t, options)
			lab.MustAddUsers(t, user)
			restoreOn(t, lab, user)
		})
	}
}

func restoreOn(t *testing.T, lab *cyruslab.Lab, user string) {
	admin, err := lab.Admin()
	cyruslab.Must(t, err)
	_, err = admin.Cmd("SETQUOTA", cyruslab.Quote(lab.AdminName(user)), "(STORAGE 100000 X-ANNOTATION-STORAGE 100000)")
	cyruslab.Must(t, err, admin.Close())
	c := lab.MustLogin(t, user)
	work, sub, empty := in(lab, "Work"), in(lab, "Sub/"+umlaut), in(lab, "Empty")
	cyruslab.Must(t, c.Create(work), c.Create(sub), c.Create(empty))
	for i, folder := range []string{"INBOX", work, sub} {
		for n := range 9 {
			cyruslab.Must(t, c.Append(folder, mail(fmt.Sprint("message ", i, n), 700), when(10*i+n), [][]string{nil, {`\Seen`, "one"}, {`\Flagged`, "two", `\Answered`}}[n%3]...))
		}
	}
	_, err = c.Select(work)
	long := strings.Repeat("two\r\nlines ", 900)
	cyruslab.Must(t, err, c.Annotate("2,7", "/comment", "signed"), c.AnnotateShared("2:4", "/comment", long), c.Annotate("3", "/altsubject", "\x01 \"x\""),
		c.Annotate("4", "/comment", "not for long"), c.Annotate("4", "/comment", ""), c.Expunge("5"), c.Unselect(),
		c.SetMetadata(sub, "/private/comment", "mine"), c.SetMetadata(sub, "/shared/comment", long), c.SetMetadata(sub, "/private/specialuse", `\Archive`),
		c.SetMetadata(work, "/private/comment", "as it was"), c.SetMetadata(work, "/private/specialuse", `\Junk`), c.SetMetadata(work, "/shared/comment", "all's"), c.Close())
	before, err := lab.Truth(user)
	cyruslab.Must(t, err)
	store := filepath.Join(t.TempDir(), "store")
	backup := func() {
		mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)
	}
	if got := before.Users[user].Folders[work].Messages[1].Annotations; len(got) != 2 {
		t.Fatalf("annotations: %q", got)
	}
	backup()
	restore := func(args ...string) []restoredFolder { return mustRestore(t, lab, store, user, args...) }

	// Nothing is lost: nothing comes. Beside the live mail there is room for all of it, with UIDs, flags, dates, annotations.
	if got := restore("--missing", "--to", "original"); sum(got) != 0 {
		t.Errorf("nothing was lost, and back came %+v", got)
	}
	used := quota(t, lab, user)
	locks := userLocks(t, lab)
	restore("--with", "annotations")
	after, err := lab.Truth(user)
	cyruslab.Must(t, err)
	for name, f := range before.Users[user].Folders {
		sameMessages(t, "RESTORED "+name, f.Messages, after.Users[user].Folders[in(lab, "RESTORED/"+days[0]+"/"+inTree(lab, name))], false)
		sameMessages(t, name, f.Messages, after.Users[user].Folders[name], false)
	}
	if now := quota(t, lab, user); now < 2*used-3 || now > 2*used+3 {
		t.Errorf("quota: %d KiB are used, %d were before all came twice", now, used)
	}
	if got := after.Users[user].Folders[in(lab, "RESTORED/"+days[0]+"/Work")].Metadata; !maps.Equal(got, map[string]string{"/private/comment": "as it was", "/shared/comment": "all's"}) {
		t.Errorf("METADATA beside the live folder: %q", got)
	}
	c = lab.MustLogin(t, user)
	if got := restore(); sum(got) != 0 {
		t.Errorf("the second time came %+v", got)
	}

	// A watcher sees what comes into the live folder; it comes with flags and dates, and with keywords that the folder forgot.
	_, err = c.Select(work)
	cyruslab.Must(t, err, c.Expunge("2:4"), c.Close())
	_, err = lab.Tool("cyr_expire", "-E", "1", "-X", "0")
	cyruslab.Must(t, err)
	watcher := lab.MustLogin(t, user)
	n, err := watcher.Select(work)
	cyruslab.Must(t, err)
	cyruslab.Must(t, watcher.SetMetadata(work, "/private/comment", "as it is"), watcher.SetMetadata(work, "/shared/comment", ""),
		watcher.SetMetadata(work, "/private/specialuse", ""), watcher.SetMetadata(empty, "/private/specialuse", `\Junk`))
	got := restore("--folder", "INBOX/Work", "--to", "original", "--with", "annotations")
	if sum(got) != 3 || len(got) != 1 || got[0].UIDs["2"] != 10 || got[0].UIDs["4"] != 12 {
		t.Errorf("merged: %+v", got)
	}
	rs, err := watcher.Cmd("NOOP")
	if err != nil || !strings.Contains(fmt.Sprint(rs), fmt.Sprint(n+3, " EXISTS")) {
		t.Errorf("a watcher of %d messages sees %v, %v", n, rs, err)
	}
	if got := restore("--folder", "INBOX/Work", "--to", "original"); sum(got) != 0 {
		t.Errorf("merged twice: %+v", got)
	}
	cyruslab.Must(t, watcher.Append(work, mail("new", 700), when(99), "three"), watcher.Store("10:12", "+FLAGS", "three"), watcher.Store("10:12", "-FLAGS", "three"),
		watcher.Annotate("12,13", "/comment", "new"), watcher.Annotate("12", "/comment", ""), watcher.Copy("10:12", in(lab, "Sub")), watcher.Expunge("13"), watcher.Close())
	after, err = lab.Truth(user)
	cyruslab.Must(t, err)
	if out, err := lab.Tool("mbexamine", "-q", lab.AdminName(user, "Work")); err != nil || !strings.Contains(string(out), "has CORRECT") || strings.Contains(string(out), "INCORRECT") {
		t.Errorf("mbexamine: %v\n%s", err, out)
	}
	sameMessages(t, "merged", before.Users[user].Folders[work].Messages, after.Users[user].Folders[work], true)
	if got := after.Users[user].Folders[work].Metadata; !maps.Equal(got, map[string]string{"/private/comment": "as it is", "/shared/comment": "all's"}) {
		t.Errorf("METADATA of a folder that has other: %q", got)
	}

	// A folder that is gone comes back as it was.
	c = lab.MustLogin(t, user)
	cyruslab.Must(t, c.SetMetadata(sub, "/private/specialuse", ""), c.SetMetadata(empty, "/private/specialuse", ""), c.Delete(sub), c.Delete(empty)) // Cyrus deletes none that is special
	restore("--folder", "INBOX/Sub", "--folder", "INBOX/Empty", "--to", "original", "--with", "annotations")
	after, err = lab.Truth(user)
	cyruslab.Must(t, err)
	sameMessages(t, empty, nil, after.Users[user].Folders[empty], false)
	sameMessages(t, sub, before.Users[user].Folders[sub].Messages, after.Users[user].Folders[sub], false)
	if got, want := after.Users[user].Folders[sub].Metadata, before.Users[user].Folders[sub].Metadata; len(want) != 3 || !maps.Equal(got, want) {
		t.Errorf("METADATA: %q, want %q", got, want)
	}
	if f := after.Users[user].Folders[sub]; f != nil && !lab.Options.DelayedDelete && f.UniqueID != before.Users[user].Folders[sub].UniqueID {
		t.Errorf("%s has another UniqueID", sub)
	}
	mustFind(t, lab)
	if now := userLocks(t, lab); !slices.Equal(now, locks) {
		t.Errorf("locks of users are %q, the server's are %q", now, locks)
	}
	// What the server holds now can be backed up.
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, user)
	mustBelong(t, lab, lab.Dir+"/spool")
	mustBelong(t, lab, lab.Dir+"/run/lock")
	mustLogNothing(t, lab)
}

// inTree is the path of an IMAP name below the dated folder.
func inTree(lab *cyruslab.Lab, name string) string {
	levels := truth.Levels(name, lab.Sep())
	if len(levels) > 1 {
		levels = levels[1:]
	}
	return strings.Join(levels, "/")
}

type restoredFolder struct {
	Folder, Place     string
	Messages, Present int
	UIDs              map[string]uint32
}

func mustRestore(t *testing.T, lab *cyruslab.Lab, store, user string, args ...string) []restoredFolder {
	t.Helper()
	o := mustRun(t, 0, "backupd", append([]string{"restore", "--store", store, "--imapd-conf", lab.Conf, "--date", days[0], "--json", "--wait", user}, args...)...)
	var v struct{ Folders []restoredFolder }
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil || o.stderr != "" {
		t.Fatalf("%v\n%s%s", err, o.stdout, o.stderr)
	}
	return v.Folders
}

func sum(folders []restoredFolder) (n int) {
	for _, f := range folders {
		n += f.Messages
	}
	return n
}

// sameMessages compares the messages of a folder; UIDs may be others after a merge.
func sameMessages(t *testing.T, what string, want []truth.Message, f *truth.Folder, merged bool) {
	t.Helper()
	if f == nil {
		t.Errorf("%s: no folder", what)
		return
	}
	lines := func(list []truth.Message) (lines []string) {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b truth.Message) int { return cmp.Compare(a.InternalDate, b.InternalDate) })
		for _, m := range list {
			m.Flags = slices.DeleteFunc(slices.Clone(m.Flags), func(f string) bool { return f == `\Recent` })
			slices.Sort(m.Flags)
			if merged {
				m.UID = 0
			}
			lines = append(lines, fmt.Sprintf("%+v", m))
		}
		return lines
	}
	if w, h := strings.Join(lines(want), "\n"), strings.Join(lines(f.Messages), "\n"); w != h {
		t.Errorf("%s: IMAP shows otherwise:\n%s", what, firstDifference(w, h))
	}
}

// quota is what a user's root counts, in KiB.
func quota(t *testing.T, lab *cyruslab.Lab, user string) (used int) {
	t.Helper()
	c, err := lab.Admin()
	cyruslab.Must(t, err)
	defer c.Close()
	rs, err := c.Cmd("GETQUOTA", cyruslab.Quote(lab.AdminName(user)))
	cyruslab.Must(t, err)
	for _, r := range rs {
		if r.Str(1) == "QUOTA" {
			_, err := fmt.Sscan(r.Sub(3).Str(1), &used)
			cyruslab.Must(t, err)
		}
	}
	return used
}

// mustFind looks that nothing of ours was left in the spool, and that reconstruct and quota find nothing more to do.
func mustFind(t *testing.T, lab *cyruslab.Lab) {
	t.Helper()
	cyruslab.Must(t, filepath.WalkDir(lab.Dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.Contains(filepath.Base(path), "backupfs-") {
			t.Errorf("%s was left", path)
		}
		return nil
	}))
	out, err := lab.Tool("reconstruct", "-n")
	cyruslab.Must(t, err)
	for line := range strings.Lines(string(out)) {
		if strings.ContainsAny(strings.TrimSpace(line), " ") && !strings.Contains(line, "sync_crc") {
			t.Errorf("reconstruct -n says %s", line)
		}
	}
	counted, err := lab.Tool("quota")
	cyruslab.Must(t, err)
	if right, err := lab.Tool("quota", "-f"); err != nil || string(right) != string(counted) {
		t.Errorf("quota is\n%swhat is used is\n%s%v", counted, right, err)
	}
}

// userLocks are the files that the locks of users are on.
func userLocks(t *testing.T, lab *cyruslab.Lab) (names []string) {
	t.Helper()
	cyruslab.Must(t, filepath.WalkDir(lab.Dir+"/run/lock", func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, "*U*") {
			names = append(names, path)
		}
		return err
	}))
	return names
}
