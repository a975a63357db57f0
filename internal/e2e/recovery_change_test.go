package e2e

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/internal/cyruslab"
	"backupfs/internal/truth"
)

// change is what happened to a user after the backup, and the recipe of docs/recovery.md against it.
type change struct {
	happens func(t *testing.T, lab *cyruslab.Lab, c *cyruslab.Client, user string)
	recipe  string
	extras  bool // subscriptions, and what was seen of others', are back
	kept    bool // all UIDs and UniqueIDs are the same
	// expect changes what IMAP shows before into what it has to show in the end; nil: nothing.
	expect func(*truth.User)
	name   string // of the user in the end, if not the same
}

// changes of folders and users.
var changes = map[string]change{
	"folder renamed": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			_, err := c.Select("Contracts")
			cyruslab.Must(t, err, c.Expunge("2:3"), c.Unselect(), c.Rename("Contracts", "Deals"))
		},
		recipe: "renamed-folder",
		expect: func(u *truth.User) { rename(u, "Contracts", "Deals") },
	},
	"folder moved": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			_, err := c.Select("Contracts")
			cyruslab.Must(t, err, c.Expunge("1,6"), c.Unselect(), c.Rename("Contracts", "Archive/Contracts"))
		},
		recipe: "renamed-folder",
		expect: func(u *truth.User) { rename(u, "Contracts", "Archive/Contracts") },
	},
	"folder deleted": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			cyruslab.Must(t, c.Delete("Contracts"))
		},
		recipe: "deleted-folder",
		kept:   true,
	},
	"folder re-created": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			cyruslab.Must(t, c.Delete("Contracts"), c.Create("Contracts"), c.Append("Contracts", mail("a new one", 700), when(99), `\Flagged`))
		},
		recipe: "deleted-folder",
		expect: func(u *truth.User) {
			f := u.Folders["Contracts"]
			f.Messages = append(f.Messages, truth.Message{Flags: []string{`\Flagged`}, InternalDate: truth.Date(when(99).Unix()),
				Size: int64(len(mail("a new one", 700))), SHA1: fmt.Sprintf("%x", sha1.Sum(mail("a new one", 700)))})
		},
	},
	"message moved, and lost there": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			_, err := c.Select("Contracts")
			cyruslab.Must(t, err, c.Move("2:3", "Archive/Old"), c.Unselect())
			_, err = c.Select("Archive/Old")
			cyruslab.Must(t, err, c.Expunge("4"), c.Unselect())
		},
		recipe: "lost-message",
		expect: func(u *truth.User) { // the one that was moved alone stays there
			from, to := u.Folders["Contracts"], u.Folders["Archive/Old"]
			to.Messages = append(to.Messages, from.Messages[2])
			from.Messages = slices.Delete(from.Messages, 2, 3)
		},
	},
	"message moved, and wanted back": {
		happens: func(t *testing.T, _ *cyruslab.Lab, c *cyruslab.Client, _ string) {
			_, err := c.Select("Contracts")
			cyruslab.Must(t, err, c.Move("2:3", "Archive/Old"), c.Unselect())
		},
		recipe: "deleted-folder",
		expect: func(u *truth.User) {
			u.Folders["Archive/Old"].Messages = append(u.Folders["Archive/Old"].Messages, u.Folders["Contracts"].Messages[1:3]...)
		},
	},
	"user renamed": {
		happens: func(t *testing.T, lab *cyruslab.Lab, c *cyruslab.Client, user string) {
			_, err := c.Select("INBOX")
			cyruslab.Must(t, err, c.Expunge("1:2"), c.Delete("Contracts"), c.Close())
			admin, err := lab.Admin()
			cyruslab.Must(t, err, admin.Rename(lab.AdminName(user), lab.AdminName("anna")), admin.Close())
		},
		recipe: "renamed-user",
		name:   "anna",
	},
	"user gone": {
		happens: func(t *testing.T, lab *cyruslab.Lab, _ *cyruslab.Client, user string) {
			admin, err := lab.Admin()
			inbox := lab.AdminName(user)
			cyruslab.Must(t, err, admin.SetACL(inbox, "cyrus", "lrswipkxtecda"), admin.Delete(inbox), admin.Create(inbox), admin.Close())
			c := lab.MustLogin(t, user)
			cyruslab.Must(t, c.Subscribe("INBOX"), c.Close()) // the database is there, and is added to
		},
		recipe: "gone-user",
		extras: true,
	},
}

// TestChanges: whatever became of folders and users since the backup, a command of docs/recovery.md brings back what IMAP showed, and
// the server finds nothing wrong.
func TestChanges(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{AltNamespace: true, UnixHierarchySep: true, Syslog: true, Extra: []string{"allowusermoves: yes"}})
	lab.MustAddUsers(t, "friend")
	friend := lab.MustLogin(t, "friend")
	cyruslab.Must(t, friend.SetACL("INBOX", "anyone", "lrs"))
	for n := range 3 {
		cyruslab.Must(t, friend.Append("INBOX", mail(fmt.Sprint("to a friend ", n), 600), when(n)))
	}
	for what, c := range changes {
		t.Run(what, func(t *testing.T) {
			changed(t, lab, strings.NewReplacer(" ", "-", ",", "").Replace(what), c)
			mustLogNothing(t, lab)
		})
	}
	mustBelong(t, lab, lab.Dir+"/spool")
}

func changed(t *testing.T, lab *cyruslab.Lab, user string, what change) {
	lab.MustAddUsers(t, user)
	c := lab.MustLogin(t, user)
	cyruslab.Must(t, c.Create("Contracts"), c.Create("Archive"), c.Create("Archive/Old"), c.Create("Empty"))
	for i, folder := range []string{"INBOX", "Contracts", "Archive/Old"} {
		for n := range []int{3, 6, 3}[i] {
			cyruslab.Must(t, c.Append(folder, mail(fmt.Sprint(folder, n), 700), when(10*i+n), [][]string{nil, {`\Seen`}, {`\Flagged`, "work"}}[n%3]...))
		}
	}
	_, err := c.Select("Contracts")
	cyruslab.Must(t, err, c.Annotate("1,3", "/comment", "signed"), c.AnnotateShared("2:4", "/comment", "to be signed"), c.Unselect(),
		c.SetMetadata("INBOX", "/private/comment", "all mine"), c.SetMetadata("Contracts", "/private/comment", "mine"), c.SetMetadata("Contracts", "/shared/comment", "ours"))
	cyruslab.Must(t, c.Subscribe("INBOX"), c.Subscribe("Contracts"), c.Subscribe("Other Users/friend"))
	mustSee(t, lab, user, "1")
	tr, err := lab.Truth(user)
	cyruslab.Must(t, err)
	want := tr.Users[user]
	store := filepath.Join(t.TempDir(), "store")
	mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", lab.Conf, "--at", days[0]+"T23:55:00Z", user)

	what.happens(t, lab, c, user)
	mustRecipe(t, lab, "", user, what.recipe, "store="+store, "date="+days[0], "name="+what.name)
	if what.expect != nil {
		what.expect(want)
	}
	if what.name != "" {
		user = what.name
	}
	after, err := lab.Truth(user)
	cyruslab.Must(t, err)
	for name, f := range want.Folders {
		got := after.Users[user].Folders[name]
		sameMessages(t, name, f.Messages, got, !what.kept)
		if got != nil && what.kept && got.UniqueID != f.UniqueID {
			t.Errorf("%s has another UniqueID", name)
		}
		if got != nil && !maps.Equal(got.Metadata, f.Metadata) {
			t.Errorf("%s has METADATA %q, want %q", name, got.Metadata, f.Metadata)
		}
	}
	if what.extras {
		if got, want := after.Users[user].Subscribed, want.Subscribed; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("subscribed to %q, want %q", got, want)
		}
		if got := seenOf(t, lab, user); got != "1" {
			t.Errorf("of the friend's messages, seen are %s", got)
		}
	}
	if len(after.Users[user].Folders) != len(want.Folders) {
		t.Errorf("%d folders, want %d", len(after.Users[user].Folders), len(want.Folders))
	}
	mustFind(t, lab)
}

// mustSee flags messages of the friend's as seen by a user.
func mustSee(t *testing.T, lab *cyruslab.Lab, user, set string) {
	t.Helper()
	c := lab.MustLogin(t, user)
	_, err := c.Select("Other Users/friend")
	cyruslab.Must(t, err, c.Store(set, "+FLAGS", `\Seen`), c.Unselect(), c.Close())
}

// seenOf returns the UIDs of the friend's messages that a user has seen.
func seenOf(t *testing.T, lab *cyruslab.Lab, user string) string {
	t.Helper()
	c := lab.MustLogin(t, user)
	_, err := c.Examine("Other Users/friend")
	rs, searchErr := c.Cmd("UID SEARCH SEEN")
	cyruslab.Must(t, err, searchErr, c.Close())
	for _, r := range rs {
		if r.Str(1) == "SEARCH" {
			return strings.Join(r[2:].Strings(), ",")
		}
	}
	return ""
}

func rename(u *truth.User, from, to string) {
	u.Folders[to] = u.Folders[from]
	delete(u.Folders, from)
}
