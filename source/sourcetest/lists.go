package sourcetest

import (
	"cmp"
	"crypto/sha1"
	"errors"
	"os"
	"slices"
	"strings"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// oddNames are levels that servers accept, as they stand on the wire; the last is for servers with "/" as the separator.
var oddNames = []string{"A b c", "Entw&APw-rfe", "&ZeVnLIqe-", "it's odd (#1) +~x=@:_$", "INBOX-not", "v1.2 notes"}

func (s *suite) lists() {
	alice, c := s.user("alice")
	names := oddNames
	if s.lab.Sep() == "." {
		names = oddNames[:len(oddNames)-1]
	}
	for _, n := range names {
		cyruslab.Must(s, c.Create(s.box(n)))
	}
	cyruslab.Must(s, c.Create(s.box("Gone")), c.Delete(s.box("Gone")), c.Create(s.box("Gone")), c.Create(s.box("A b c", "deep", "er")))
	admin, err := s.lab.Admin()
	cyruslab.Must(s, err)
	defer admin.Close()
	shared := strings.Join([]string{"shared", s.prefix}, s.lab.Sep())
	cyruslab.Must(s, admin.Create(shared), admin.SetACL(shared, "cyrus", "lrswipkxtecda"))
	bob, _ := s.user("b.b")
	if s.lab.Options.SecondPartition {
		cyruslab.Must(s, admin.CreateOn(s.lab.AdminName(alice, "OnP2"), "p2"), admin.CreateOn(s.lab.AdminName(s.prefix+"p2"), "p2"))
	}

	users, err := s.src.Users(s.Context())
	cyruslab.Must(s, err)
	if !slices.IsSortedFunc(users, func(a, b source.User) int { return cmp.Compare(a.Name, b.Name) }) {
		s.Errorf("not sorted: %v", users)
	}
	listed := []source.User{{Name: alice, DriveUnit: "default"}, {Name: bob, DriveUnit: "default"}, {Name: source.SharedUser, DriveUnit: "default"}}
	p2 := source.User{Name: s.prefix + "p2", DriveUnit: "p2"}
	owners := []string{alice, source.SharedUser}
	if s.traits.Plain {
		listed = []source.User{{Name: alice}, {Name: bob}}
		p2.DriveUnit, owners = "", owners[:1]
	}
	for _, u := range listed {
		if !slices.Contains(users, u) {
			s.Errorf("no user %v in %v", u, users)
		}
	}
	if slices.Contains(users, p2) != s.lab.Options.SecondPartition {
		s.Errorf("%v in %v", p2, users)
	}

	told, err := s.lab.Truth(owners...)
	cyruslab.Must(s, err)
	for user, u := range told.Users {
		boxes := s.mailboxes(user)
		var got, want []string
		deleted := 0
		for _, m := range boxes {
			if strings.HasPrefix(m.Archived, "DELETED.") {
				deleted++
				continue
			}
			got = append(got, m.Archived+" "+m.UniqueID)
			if got, want := s.where(m).Partition, "p2"; (got == want) != strings.HasSuffix(m.Archived, "OnP2") && user == alice {
				s.Errorf("%s is on %s", m.Archived, got)
			}
		}
		for _, f := range u.Folders {
			want = append(want, f.DotName+" "+f.UniqueID)
		}
		if user == alice && (!strings.HasPrefix(got[0], "INBOX ") || !slices.IsSorted(got[1:])) {
			s.Errorf("order: %q", got)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			s.Errorf("%s has %q\nIMAP says %q", user, got, want)
		}
		named := !s.traits.Plain || !s.lab.Options.AltNamespace // such mailboxes have a name
		if user == alice && (deleted == 1) != (s.lab.Options.DelayedDelete && named) {
			s.Errorf("%d deleted mailboxes are listed", deleted)
		}
	}
	if _, err := s.src.Mailboxes(s.Context(), s.prefix+"nobody"); !errors.Is(err, source.ErrNoUser) {
		s.Error(err)
	}
	if s.src.Name() != "lab" {
		s.Error(s.src.Name())
	}
}

func (s *suite) userFiles() {
	alice, c := s.user("alice")
	s.appendTo(c, "INBOX", 1, 2)
	files, err := s.src.UserFiles(s.Context(), alice, nil)
	cyruslab.Must(s, err)
	for _, f := range files {
		if f.Name == "sub" {
			s.Error("subscriptions before there are any")
		}
	}
	cyruslab.Must(s, c.Subscribe("INBOX"))
	files, err = s.src.UserFiles(s.Context(), alice, nil)
	cyruslab.Must(s, err)
	known := map[string]cyrus.GUID{}
	inbox := s.mailbox(alice, "INBOX")
	box := s.where(inbox)
	where := s.conf.UserFiles(alice, &box)
	for _, f := range files {
		onDisk, err := os.ReadFile(where[f.Name])
		if err != nil || string(onDisk) != string(f.Data) || f.SHA1 != sha1.Sum(onDisk) || f.Mtime == 0 || f.Inode == 0 {
			s.Errorf("%s: %d bytes, mtime %d, inode %d, SHA-1 %s; %v", f.Name, len(f.Data), f.Mtime, f.Inode, f.SHA1, err)
		}
		known[f.Name] = f.SHA1
	}
	if known["sub"].IsZero() {
		s.Fatalf("no sub in %v", files)
	}
	cyruslab.Must(s, c.Create(s.box("Work")))
	again, err := s.src.UserFiles(s.Context(), alice, known)
	cyruslab.Must(s, err)
	if len(again) != len(files) || again[len(again)-1].Name != "sub" || again[len(again)-1].Data != nil || again[len(again)-1].SHA1 != known["sub"] {
		s.Errorf("unchanged: %v", again)
	}
	cyruslab.Must(s, c.Subscribe(s.box("Work")))
	changed, err := s.src.UserFiles(s.Context(), alice, known)
	cyruslab.Must(s, err)
	if sub := changed[len(changed)-1]; sub.Name != "sub" || !strings.Contains(string(sub.Data), "Work") {
		s.Errorf("changed: %v", changed)
	}
	if _, err := s.src.UserFiles(s.Context(), s.prefix+"nobody", nil); !errors.Is(err, source.ErrNoUser) {
		s.Error(err)
	}
}
