package backup

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/lock"
)

// TestVerifyNamesTheDamaged spoils each member of an archive in turn: every message and meta file that does not come out of it any more is named, with
// the dates that show it, and no other; with the index that was made before. Without one, all that has bytes in it is.
func TestVerifyNamesTheDamaged(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	s := m.server
	random := rand.NewChaCha8([32]byte{7})
	for range 3 {
		for range 12 {
			body := make([]byte, 50<<10)
			_, _ = random.Read(body)
			s.add(s.boxes[0], body, body)
		}
		s.add(s.boxes[1], nil, s.newBody())
		m.run(t)
		s.boxes[0].msgs[m.days].rec.SystemFlags |= cyrus.FlagExpunged
		s.changed(s.boxes[0])
	}
	u, path := m.user(t), mustArchive(t, m)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	members := mustMembers(t, path)
	if len(members) < 8 {
		t.Fatalf("only %d members", len(members))
	}
	inMember, want := make([][]string, len(members)), make([][]string, len(members))
	for i, member := range members {
		inMember[i] = holdersIn(t, u, func(from, to int64) bool { return from < member.End().Tar && to > member.Tar })
		bad := slices.Clone(good)
		bad[member.File+member.FileSize/2+20] ^= 0x55
		want[i] = holdersIn(t, u, indextest.Hit(good, bad, member))
		if len(inMember[i]) > 1 && (len(want[i]) == 0 || len(want[i]) == len(inMember[i])) {
			t.Errorf("member %d: of %q are hit %q", i, inMember[i], want[i])
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		report := mustVerify(t, u)
		if got := named(report.Damaged); !slices.Equal(got, want[i]) {
			t.Errorf("member %d of %d: named %q, want %q", i, len(members), got, want[i])
		}
		if !errors.Is(report.Err(), archive.ErrDamaged) || len(report.Archive) == 0 || len(report.Missing) == 0 {
			t.Errorf("member %d: %v: %+v", i, report.Err(), report)
		}
	}

	// All but the markers: what is hit more than once, in another life or by another stretch, is named once.
	bad := slices.Clone(good)
	var hit, once []string
	for i, member := range members {
		if !member.Marker {
			clear(bad[member.File+archive.MemberHeaderSize : member.End().File])
		}
		for _, name := range inMember[i] {
			hit = append(hit, name[:strings.Index(name, " 2009")])
		}
	}
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range mustVerify(t, u).Damaged {
		once = append(once, f.What())
	}
	n := len(hit)
	slices.Sort(once)
	slices.Sort(hit)
	if hit = slices.Compact(hit); len(hit) == n || !slices.Equal(once, hit) {
		t.Errorf("all members: named %q, want %q, each once", once, hit)
	}

	// A cut that takes the last run away, where the index knows of it.
	last := members[len(members)-1]
	if err := os.WriteFile(path, good[:last.File+10], 0o600); err != nil {
		t.Fatal(err)
	}
	if report := mustVerify(t, u); len(report.Damaged) == 0 || report.Runs != 2 || !errors.Is(report.Err(), archive.ErrDamaged) {
		t.Errorf("cut within the last marker: %+v", report)
	}

	// Without an index the messages are still named, by what the folder's cyrus.index says.
	i := slices.IndexFunc(inMember, func(list []string) bool {
		return len(list) > 2 && !slices.ContainsFunc(list, func(s string) bool { return !strings.Contains(s, ": message ") })
	})
	bad = slices.Clone(good)
	bad[members[i].File+members[i].FileSize/2] ^= 0x55
	if err := errors.Join(os.WriteFile(path, bad, 0o600), os.Remove(u.Index())); err != nil {
		t.Fatal(err)
	}
	if got := named(mustVerify(t, u).Damaged); !slices.Equal(got, inMember[i]) {
		t.Errorf("without an index: named %q, want %q", got, inMember[i])
	}
}

// holdersIn lists what has its bytes in a stretch of the tar that is hit, by walking all dates.
func holdersIn(t *testing.T, u store.User, hit func(from, to int64) bool) []string {
	t.Helper()
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	runs, err := ix.Runs()
	if err != nil {
		t.Fatal(err)
	}
	dates := make(map[string][]string)
	note := func(tar, size int64, name, date string) {
		if tar >= 0 && hit(tar, tar+size) {
			dates[name] = append(dates[name], date)
		}
	}
	metas := func(folder int64, prefix string, r index.Run) {
		list, err := ix.Metas(folder, r.Run.Run)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			note(f.Tar, f.Size, prefix+f.Name, r.Date)
		}
	}
	for _, r := range runs {
		metas(0, "", r)
		folders, err := ix.Folders(r.Run.Run)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			metas(f.ID, f.Archived+": ", r)
			for msg, err := range ix.Messages(f.ID, r.Run.Run) {
				if err != nil {
					t.Fatal(err)
				}
				note(msg.Tar, msg.Size, fmt.Sprintf("%s: message %d", f.Archived, msg.UID), r.Date)
			}
		}
	}
	var list []string
	for what, on := range dates {
		list = append(list, what+" "+strings.Join(on, " "))
	}
	slices.Sort(list)
	return list
}

func named(findings []Finding) (list []string) {
	for _, f := range findings {
		list = append(list, f.What()+" "+strings.Join(f.Dates, " "))
	}
	slices.Sort(list)
	return list
}

func mustMembers(t *testing.T, path string) (members []archive.Member) {
	t.Helper()
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for m, err := range a.Members(archive.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	return members
}

func mustVerify(t *testing.T, u store.User) *Report {
	t.Helper()
	report, err := Verify(context.Background(), u, nil)
	if err != nil {
		t.Fatal(err)
	}
	if damaged, err := Scrub(context.Background(), u, nil); err != nil || damaged != (report.Damage() > 0) {
		t.Errorf("scrubbed: %v, %v; verified: %+v", damaged, err, report)
	}
	return report
}

// TestVerifyOneNameTwice: two folders that had one name, one after the other, are told apart.
func TestVerifyOneNameTwice(t *testing.T) {
	m := newModel(t, indextest.Store(t))
	s := m.server
	first, second := s.byName("INBOX.A.Sub"), s.byName("INBOX.Old")
	s.add(first, nil, s.newBody())
	s.add(second, nil, s.newBody())
	m.run(t)
	s.boxes = slices.DeleteFunc(s.boxes, func(b *fakeBox) bool { return b == first })
	second.name = first.name
	m.run(t)
	m.check(t)
	if report := mustVerify(t, m.user(t)); len(report.Missing) != 2 {
		t.Errorf("%+v", report.Missing)
	}
}

// TestVerifyFindsWhatCRCsDoNot: bytes that were wrong when they were written, and bytes that nobody wrote.
func TestVerifyFindsWhatCRCsDoNot(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	u := m.user(t)
	if err := u.Make(); err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2009, 9, 27, 12, 0, 0, 0, time.UTC)
	app, err := archive.Create(u.Dir, begun, archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, link, content string) {
		t.Helper()
		e := archive.Entry{Name: name, Linkname: link, Type: archive.TypeFile, Size: int64(len(content))}
		if strings.HasPrefix(name, "imap/") {
			e.Type = archive.TypeLink
		}
		if _, err := app.Add(e, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	digest := func(s string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(s))) }
	box := m.server.boxes[0]
	for _, body := range []string{"right", "wrong", "nowhere"} {
		m.server.add(box, []byte(body), []byte(body))
	}
	files := box.view().files
	add("files/"+digest("right"), digest("right"), "right")
	add("files/"+digest("wrong"), digest("wrong"), "wrung")
	for _, name := range []string{"cyrus.index", "cyrus.header"} {
		add("folders/"+box.id+"/"+name, digest(string(files[name])), string(files[name]))
	}
	add("imap/INBOX/", box.id, "")
	if _, err := app.Finish(archive.Marker{Begun: begun, Ended: begun, User: "brong"}); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"INBOX: message 2 2009-09-27", "INBOX: message 3 2009-09-27"}
	if got := named(mustVerify(t, u).Damaged); !slices.Equal(got, want) {
		t.Errorf("named %q, want %q", got, want)
	}
}

func TestVerifyIndexAndLock(t *testing.T) {
	m := newModel(t, filepath.Join(t.TempDir(), "store"))
	m.run(t)
	u := m.user(t)
	release, err := lock.File(u.Lock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(context.Background(), u, nil); !errors.Is(err, lock.ErrBusy) {
		t.Errorf("during a run: %v", err)
	}
	if _, err := m.try(context.Background()); !errors.Is(err, lock.ErrBusy) {
		t.Errorf("two runs at a time: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}

	// The index of another user of the same day.
	other := newModel(t, filepath.Join(t.TempDir(), "store"))
	other.server.addGood(other.server.boxes[0])
	other.run(t)
	b, err := os.ReadFile(other.user(t).Index())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(u.Index(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	report := mustVerify(t, u)
	if !errors.Is(report.Index, ErrIndexDiffers) || !errors.Is(report.Err(), archive.ErrDamaged) || len(report.Damaged) > 0 {
		t.Errorf("another's index: %+v", report)
	}
	if err := os.Remove(u.Index()); err != nil {
		t.Fatal(err)
	}
	if report := mustVerify(t, u); !errors.Is(report.Index, index.ErrNone) || errors.Is(report.Err(), archive.ErrDamaged) {
		t.Errorf("no index: %+v", report)
	}
	m.run(t)
	m.check(t)
}
