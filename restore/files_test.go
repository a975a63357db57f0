package restore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/match"
	"backupfs/restore"
)

var (
	day1 = time.Date(2009, 9, 27, 23, 55, 0, 0, time.UTC)
	day2 = day1.AddDate(0, 0, 1)
)

const from = "From: =?iso-8859-1?q?J=FCrgen?= <jm@example.org>\r\nno header line\r\nSubject: =?utf-8?q?Br=C3=BCcken?=\r\n bau\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"

// mustOpen makes a store of one user, who lost a message and a folder after the first day, and opens a date of it.
func mustOpen(t *testing.T, date string) *restore.Date {
	t.Helper()
	u := store.User{Name: "brong", Dir: filepath.Join(indextest.Store(t), "brong")}
	if err := os.Mkdir(u.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	inbox := indextest.Folder{UniqueID: "inbox-id", Name: "INBOX", Keywords: []string{"work"}, Messages: []indextest.Message{
		{UID: 1, Body: from, Date: 1254000000, Flags: cyrus.FlagSeen | cyrus.FlagFlagged, Keywords: 1},
		{UID: 2, Body: "Subject: two\r\n\r\nFrom here\r\n>From there\r\nno end", Date: 1254100000},
		{UID: 3, Body: "Subject: gone\r\n\r\n", Date: 1254100001, Expunged: true},
		{UID: 4, Body: "Subject: lost\r\n\r\n", Date: 1254100002, Missing: true},
		{UID: 7, Body: "Subject: two\r\n\r\nFrom here\r\n>From there\r\nno end", Date: 1254100000},
	}}
	sub := indextest.Folder{UniqueID: "sub-id", Name: "INBOX.Work.v1^2", Messages: []indextest.Message{{UID: 9, Body: strings.Repeat("x", 5000), Date: 1254000000}}}
	old := indextest.Folder{UniqueID: "old-id", Name: "DELETED.user.brong.Old.6B054A70", Messages: []indextest.Message{{UID: 1, Body: "old", Date: 1}}}
	indextest.Archive(t, u.Dir,
		indextest.Run{Begun: day1, Folders: []indextest.Folder{inbox, sub, old}},
		indextest.Run{Begun: day2, Folders: []indextest.Folder{{UniqueID: "inbox-id", Name: "INBOX", Messages: inbox.Messages[1:2]}}})
	d, err := restore.Open(t.Context(), u, date)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// mustRun restores, and returns the result in lines: folder, messages, present, problems.
func mustRun(t *testing.T, d *restore.Date, s restore.Selection, to restore.Sink, o restore.Options) []string {
	t.Helper()
	result, err := restore.Run(t.Context(), d, &s, to, o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range result.Folders {
		lines = append(lines, fmt.Sprint(r.Folder, " ", r.Messages, " ", r.Present, " ", r.Problems, r.Err))
	}
	return lines
}

func mustMatch(t *testing.T, text string) *match.Expr {
	t.Helper()
	m, err := match.Parse(text, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSelection: what is asked for is what comes.
func TestSelection(t *testing.T) {
	d := mustOpen(t, "2009-09-27")
	uids := func(text string) *cyrus.UIDSet { return mustUIDs(t, text) }
	const lost = "[UID 4: it was missing on the server] <nil>"
	for name, c := range map[string]struct {
		s    restore.Selection
		want []string
	}{
		"all":             {restore.Selection{}, []string{"INBOX 3 0 " + lost, "INBOX.Work.v1^2 1 0 [] <nil>"}},
		"a folder":        {restore.Selection{Folders: []string{"INBOX/Work"}}, []string{"INBOX.Work.v1^2 1 0 [] <nil>"}},
		"by archive name": {restore.Selection{Folders: []string{"INBOX.Work.v1^2", "INBOX/Work/"}}, []string{"INBOX.Work.v1^2 1 0 [] <nil>"}},
		"deleted before":  {restore.Selection{Folders: []string{".deleted/Old"}}, []string{"DELETED.user.brong.Old.6B054A70 1 0 [] <nil>"}},
		"UIDs":            {restore.Selection{UIDs: uids("7:*,2")}, []string{"INBOX 2 0 [] <nil>", "INBOX.Work.v1^2 1 0 [] <nil>"}},
		"from":            {restore.Selection{Match: mustMatch(t, "from:JÜRGEN")}, []string{"INBOX 1 0 " + lost}},
		"folded subject":  {restore.Selection{Match: mustMatch(t, `subject:"Brücken bau" message-id:<1@x>`)}, []string{"INBOX 1 0 " + lost}},
		"day":             {restore.Selection{Match: mustMatch(t, "since:2009-09-28 before:2009-09-29"), UIDs: uids("1:2")}, []string{"INBOX 1 0 [] <nil>"}},
		"size":            {restore.Selection{Match: mustMatch(t, "larger:4k smaller:5001")}, []string{"INBOX.Work.v1^2 1 0 [] <nil>"}},
		"flags":           {restore.Selection{Match: mustMatch(t, "flag:seen flag:work"), UIDs: uids("1:3")}, []string{"INBOX 1 0 [] <nil>"}},
		"nothing":         {restore.Selection{Match: mustMatch(t, "to:nobody"), UIDs: uids("1:3")}, nil},
	} {
		if got := mustRun(t, d, c.s, restore.Dir{Root: t.TempDir()}, restore.Options{DryRun: true}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, err := restore.Run(t.Context(), d, &restore.Selection{Folders: []string{"INBOX/Nowhere"}}, restore.Dir{}, restore.Options{}); !errors.Is(err, restore.ErrNoFolder) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// TestFiles: each sink of files holds what the date held, once, however often it is called; and with Missing, only what is.
func TestFiles(t *testing.T) {
	two := "Subject: two\r\n\r\nFrom here\r\n>From there\r\nno end"
	for name, c := range map[string]struct {
		sink func(root string) restore.Sink
		want map[string]string
	}{
		"dir": {func(root string) restore.Sink { return restore.Dir{Root: root} }, map[string]string{
			"INBOX/1.eml": from, "INBOX/2.eml": two, "INBOX/7.eml": two, "INBOX/Work/v1^2/9.eml": strings.Repeat("x", 5000),
		}},
		"maildir": {func(root string) restore.Sink { return restore.Maildir{Root: root} }, map[string]string{
			"cur/1254000000.GUID_1.backupfs:2,FS": from, "cur/1254100000.GUID_2.backupfs:2,": two, "cur/1254100000.GUID_7.backupfs:2,": two,
			".Work.v1^2/cur/1254000000.GUID_9.backupfs:2,": strings.Repeat("x", 5000),
		}},
		"mbox": {func(root string) restore.Sink { return restore.Mbox{Root: root} }, map[string]string{
			"INBOX.mbox": "From MAILER-DAEMON Sat Sep 26 21:20:00 2009\n" + strings.ReplaceAll(from, "\r", "") + "\n" +
				strings.Repeat("From MAILER-DAEMON Mon Sep 28 01:06:40 2009\nSubject: two\n\n>From here\n>>From there\nno end\n\n", 2),
			"INBOX/Work/v1^2.mbox": "From MAILER-DAEMON Sat Sep 26 21:20:00 2009\n" + strings.Repeat("x", 5000) + "\n\n",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := mustOpen(t, "2009-09-27")
			root := t.TempDir()
			mustRun(t, d, restore.Selection{}, c.sink(root), restore.Options{})
			mustHold(t, root, c.want)
			again := mustRun(t, d, restore.Selection{}, c.sink(root), restore.Options{})
			if name != "mbox" && !slices.Equal(again, []string{"INBOX 0 3 [UID 4: it was missing on the server] <nil>", "INBOX.Work.v1^2 0 1 [] <nil>"}) {
				t.Errorf("the second time: %q", again)
			}
			mustHold(t, root, c.want)
		})
	}
}

var guid = regexp.MustCompile(`[0-9a-f]{40}`)

// mustHold compares all files below a folder, and their dates.
func mustHold(t *testing.T, root string, want map[string]string) {
	t.Helper()
	have := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		have[guid.ReplaceAllString(rel, "GUID")] = string(b)
		if info, err := e.Info(); err != nil || !strings.HasSuffix(rel, ".mbox") && info.ModTime().Year() != 2009 {
			t.Errorf("%s is of %v, %v", rel, info.ModTime(), err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if have[name] != text {
			t.Errorf("%s holds %q, want %q", name, have[name], text)
		}
		delete(have, name)
	}
	for name := range have {
		t.Errorf("%s is too many", name)
	}
}

// TestNothingWrittenOver: a file of the same name that is another message stays, and is told.
func TestNothingWrittenOver(t *testing.T) {
	d := mustOpen(t, "2009-09-27")
	root := t.TempDir()
	path := filepath.Join(root, "INBOX", "1.eml")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	got := mustRun(t, d, restore.Selection{Folders: []string{"INBOX"}, UIDs: mustUIDs(t, "1:2")}, restore.Dir{Root: root}, restore.Options{})
	if len(got) != 1 || !strings.HasPrefix(got[0], "INBOX 1 0 [UID 1: open "+path+": file exists]") {
		t.Errorf("%q", got)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("%s holds %q, %v", path, b, err)
	}
}

func mustUIDs(t *testing.T, text string) *cyrus.UIDSet {
	t.Helper()
	set, err := cyrus.ParseUIDSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return &set
}

// TestDamaged: a message that cannot be read is named, leaves no file, and the others come.
func TestDamaged(t *testing.T) {
	u := store.User{Name: "brong", Dir: t.TempDir()}
	var messages []indextest.Message
	for n := range 8 {
		messages = append(messages, indextest.Message{UID: uint32(n + 1), Body: randomBody(n), Date: 1254000000})
	}
	path := indextest.Archive(t, u.Dir, indextest.Run{Begun: day1, Folders: []indextest.Folder{{UniqueID: "id", Name: "INBOX", Messages: messages}}})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/8] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := restore.Open(t.Context(), u, "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	root := t.TempDir()
	result, err := restore.Run(t.Context(), d, &restore.Selection{}, restore.Dir{Root: root}, restore.Options{})
	if err != nil || len(result.Folders) != 1 {
		t.Fatal(result, err)
	}
	r := result.Folders[0]
	files, err := os.ReadDir(filepath.Join(root, "INBOX"))
	if err != nil || len(files) != r.Messages || r.Messages == 0 || r.Messages+len(r.Problems) != 8 || !errors.Is(r.Problems[0], archive.ErrDamaged) {
		t.Errorf("%d files, %+v, %v", len(files), r, err)
	}
}

// TestAbsurdSize: a folder whose own files are said to be larger than memory is named, and the others come.
func TestAbsurdSize(t *testing.T) {
	u := store.User{Name: "brong", Dir: t.TempDir()}
	folder := func(id, name string) indextest.Folder {
		return indextest.Folder{UniqueID: id, Name: name, Messages: []indextest.Message{{UID: 1, Body: from, Date: 1}}}
	}
	path := indextest.Archive(t, u.Dir, indextest.Run{Begun: day1, Folders: []indextest.Folder{folder("a", "INBOX"), folder("b", "INBOX.B")}})
	if err := index.Rebuild(t.Context(), path, u.Index(), nil); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", u.Index())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE metas SET size = 1 << 60 WHERE folder = (SELECT id FROM folders WHERE uniqueid = 'b')"); err != nil {
		t.Fatal(err)
	}
	d, err := restore.Open(t.Context(), u, "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	result, err := restore.Run(t.Context(), d, &restore.Selection{}, restore.Dir{Root: t.TempDir()}, restore.Options{})
	if err != nil || len(result.Folders) != 2 {
		t.Fatal(result, err)
	}
	for _, r := range result.Folders {
		if absurd := r.Folder == "INBOX.B"; (r.Err != nil) != absurd || (r.Messages == 0) != absurd {
			t.Errorf("%+v", r)
		}
	}
}

// randomBody does not deflate, so that the messages lie in several members.
func randomBody(n int) string {
	var b strings.Builder
	x := uint32(n + 1)
	for b.Len() < 100_000 {
		x = x*1664525 + 1013904223
		b.WriteByte(byte(x >> 24))
	}
	return b.String()
}
