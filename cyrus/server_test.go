package cyrus_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
)

// TestServer asks real servers of all layouts what they have, and looks whether it lies where we say.
func TestServer(t *testing.T) {
	for name, o := range map[string]cyruslab.Options{
		"by UniqueID":          {},
		"meta and archive":     {UnixHierarchySep: true, SecondPartition: true, MetaFiles: "header index annotations", Archive: true},
		"some meta":            {AltNamespace: true, UnixHierarchySep: true, MetaFiles: "index"},
		"by UniqueID, hashed":  {UnixHierarchySep: true, Hash: true, FullDirHash: true, VirtDomains: "userid"},
		"by name":              {LegacyDirs: true},
		"by name, domains":     {LegacyDirs: true, UnixHierarchySep: true, VirtDomains: "userid"},
		"by name, hashed":      {LegacyDirs: true, UnixHierarchySep: true, AltNamespace: true, Hash: true},
		"by name, fully, meta": {LegacyDirs: true, UnixHierarchySep: true, Hash: true, FullDirHash: true, VirtDomains: "yes", MetaFiles: "header index cache annotations"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.DelayedDelete = true
			checkServer(t, cyruslab.Start(t, o))
		})
	}
}

func checkServer(t *testing.T, l *cyruslab.Lab) {
	users := []string{"alice", "0zero"}
	if l.Options.UnixHierarchySep {
		users = append(users, "jane.doe")
	}
	if l.Options.VirtDomains != "" {
		users = append(users, "alice@example.org", "jane.doe@example.net")
	}
	mustFill(t, l, users)

	c, err := cyrus.LoadConfig(l.Conf)
	cyruslab.Must(t, err)
	out, err := l.Tool("ctl_mboxlist", "-d")
	cyruslab.Must(t, err)
	list, err := cyrus.ParseMboxlist(out)
	cyruslab.Must(t, err)

	for _, m := range list {
		checkMailbox(t, l, c, m)
	}
	for _, u := range users {
		checkNames(t, l, u, list)
		i := slices.IndexFunc(list, func(m cyrus.Mailbox) bool { return m.Name.User() == u && m.Name.Archived() == "INBOX" })
		if i < 0 {
			t.Fatalf("%s has no INBOX", u)
		}
		if name := c.Admin(list[i].Name); name != l.AdminName(u) {
			t.Errorf("the administrator knows the INBOX of %s as %s, not %s", u, l.AdminName(u), name)
		}
		locks, err := c.UserLocks(u)
		cyruslab.Must(t, err)
		if !slices.ContainsFunc(locks, func(path string) bool { _, err := os.Stat(path); return err == nil }) {
			t.Errorf("%s has no lock of %q", u, locks)
		}
		files := c.UserFiles(u, &list[i])
		mustExist(t, files["sub"], u)
		if !strings.Contains(u, "@") {
			mustExist(t, files["seen"], u)
		}
	}
	// Deleted: a folder of each user, the whole of user gone, a shared folder.
	deleted, shared := 0, 0
	for _, m := range list {
		if strings.Contains(string(m.Name), "DELETED.") {
			deleted++
		}
		if m.Name.User() == "" {
			shared++
		}
	}
	if deleted != len(users)+3 || shared != 3 {
		t.Errorf("%d deleted and %d shared mailboxes in\n%s", deleted, shared, out)
	}
}

// mustFill gives each user folders of all kinds, and lets those of the default domain read in a shared one.
func mustFill(t *testing.T, l *cyruslab.Lab, users []string) {
	sep := l.Sep()
	admin, err := l.Admin()
	cyruslab.Must(t, err)
	defer admin.Close()
	l.MustAddUsers(t, append(users, "gone")...)
	cyruslab.Must(t, admin.Create("news"), admin.SetACL("news", "anyone", "lrswipx"), admin.Create("news"+sep+"local"),
		admin.Create("news"+sep+"old"), admin.Delete("news"+sep+"old"),
		admin.Create(l.AdminName("gone", "Work")), admin.SetACL(l.AdminName("gone"), "cyrus", "x"), admin.Delete(l.AdminName("gone")))
	for _, u := range users {
		c := l.MustLogin(t, u)
		own, news := "INBOX"+sep, "news"
		if l.Options.AltNamespace {
			own, news = "", "Shared Folders"+sep+"news"
		}
		folders := []string{"Work", "Entw&APw-rfe", "A" + sep + "B" + sep + "C", "a b"}
		if l.Options.UnixHierarchySep {
			folders = append(folders, "v1.2 notes")
		}
		for _, f := range folders {
			cyruslab.Must(t, c.Create(own+f))
		}
		cyruslab.Must(t, c.Create(own+"Gone"), c.Delete(own+"Gone"), c.Create(own+"Old"), c.Rename(own+"Old", own+"New"), c.Subscribe(own+"Work"))
		if l.Options.SecondPartition {
			cyruslab.Must(t, admin.CreateOn(l.AdminName(u, "Elsewhere"), "p2"))
		}
		date := time.Unix(1254175711, 0)
		cyruslab.Must(t, c.Append("INBOX", []byte("Subject: x\r\n\r\nx\r\n"), date, `\Seen`, "$Label1"))
		if !strings.Contains(u, "@") {
			_, err := c.Select("INBOX")
			cyruslab.Must(t, err, c.Append(news, []byte("Subject: y\r\n\r\ny\r\n"), date))
			_, err = c.Select(news)
			cyruslab.Must(t, err, c.Store("1:*", "+FLAGS", `\Seen`), c.Unselect())
		}
	}
	if l.Options.Archive {
		_, err := l.Tool("cyr_expire", "-A", "0")
		cyruslab.Must(t, err)
	}
}

// checkMailbox looks for all that a mailbox has, and whether it is the mailbox.
func checkMailbox(t *testing.T, l *cyruslab.Lab, c *cyrus.Config, m cyrus.Mailbox) {
	t.Helper()
	p, err := c.Paths(m)
	cyruslab.Must(t, err)
	h, err := cyrus.ParseHeader(mustRead(t, p.Header))
	cyruslab.Must(t, err)
	// A rename leaves the old name in the header where it moves the folder: there the path is what counts.
	if h.UniqueID != m.UniqueID || !m.Legacy && cyrus.Name(h.Name) != m.Name {
		t.Errorf("%s: the header of %s %s lies there", m.Name, h.Name, h.UniqueID)
	}
	ix, err := cyrus.ParseIndex(mustRead(t, p.Index))
	cyruslab.Must(t, err)
	for _, r := range ix.Records {
		dir, other := p.Data, p.Archive
		if r.SystemFlags&cyrus.FlagArchived != 0 {
			dir, other = other, dir
		}
		mustExist(t, filepath.Join(dir, "1."), string(m.Name))
		if _, err := os.Stat(filepath.Join(other, "1.")); (err == nil) != (dir == other) {
			t.Errorf("%s: message in %s and %s", m.Name, dir, other)
		}
	}
	if len(ix.Records) > 0 {
		mustExist(t, p.Lock, string(m.Name))
		if p.Archive == p.Data { // archived messages have a cache of their own
			mustExist(t, p.Cache, string(m.Name))
		}
	}
	root := c.Get("partition-" + m.Partition)
	rel, err := filepath.Rel(root, p.Data)
	cyruslab.Must(t, err)
	if id, ok := cyrus.UniqueIDFromPath(rel); ok == m.Legacy || ok && id != m.UniqueID {
		t.Errorf("%s: UniqueID %q, %v from %s", m.Name, id, ok, rel)
	}
	if name, err := c.NameFromPath(rel); m.Legacy && (err != nil || name != m.Name) {
		t.Errorf("%s: name %q, %v from %s", m.Name, name, err, rel)
	}
}

// checkNames compares the names and UniqueIDs of a user's mailboxes with what IMAP shows the user.
func checkNames(t *testing.T, l *cyruslab.Lab, user string, list []cyrus.Mailbox) {
	t.Helper()
	truth, err := l.Truth(user)
	cyruslab.Must(t, err)
	var shown []string
	for name := range truth.Users[user].Folders {
		shown = append(shown, name)
	}
	want := map[string]string{}
	for i, name := range cyrus.Canonical(shown) {
		want[name] = truth.Users[user].Folders[shown[i]].UniqueID
	}
	have := map[string]string{}
	for _, m := range list {
		if m.Name.User() == user && !strings.HasPrefix(m.Name.Archived(), "DELETED.") {
			have[m.Name.Archived()] = m.UniqueID
		}
	}
	if !maps.Equal(want, have) {
		t.Errorf("%s: IMAP shows %v, the list has %v", user, want, have)
	}
}

func mustExist(t *testing.T, path, what string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
