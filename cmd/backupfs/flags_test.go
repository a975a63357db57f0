package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"backupfs/cyrus"
	"backupfs/index/indextest"
)

// flagDays is a history of flags: the second day changes another folder only, the third changes one message's flags, the fourth takes the
// other away.
func flagDays() []indextest.Run {
	inbox := func(flags, keywords uint32, more ...indextest.Message) indextest.Folder {
		first := message(1, 1, 2000)
		first.Flags, first.Keywords = flags, keywords
		return indextest.Folder{UniqueID: "id-inbox", Name: "INBOX", Keywords: []string{"Work", "$Label", "unused"}, Messages: append([]indextest.Message{first}, more...)}
	}
	old := indextest.Folder{UniqueID: "id-old", Name: "INBOX.Old", Version: 10, Messages: []indextest.Message{message(4, 4, 300)}}
	old.Messages[0].Flags = cyrus.FlagSeen | cyrus.FlagDeleted
	copied := message(7, 1, 2000) // as INBOX/1.
	copied.Flags = cyrus.FlagDraft
	other := indextest.Folder{UniqueID: "id-copy", Name: "INBOX.Copies", Messages: []indextest.Message{copied}}
	second := message(2, 2, 700)
	run := func(day int, folders ...indextest.Folder) indextest.Run {
		return indextest.Run{User: "brong", Begun: mustDay(fmt.Sprintf("2009-09-%dT12:00", day)), Folders: folders}
	}
	return []indextest.Run{
		run(10, inbox(cyrus.FlagSeen, 0, second), old),
		run(11, inbox(cyrus.FlagSeen, 0, second), old, other),
		run(12, inbox(cyrus.FlagSeen|cyrus.FlagAnswered|cyrus.FlagFlagged, 3, second), old, other),
		run(13, inbox(0, 1), old, other),
	}
}

// TestFlags: with -o flags a message has the flags of the date at which one looks at it, and one inode as long as its folder stays what it is; all
// else is as without it.
func TestFlags(t *testing.T) {
	x := newFixture(t)
	runs := flagDays()
	for _, r := range runs {
		x.run(r)
	}
	m := x.mount("uid=12,gid=34,flags")
	var inodes []map[string]uint64
	for i, r := range runs {
		inodes = append(inodes, mustMatch(t, m.path("brong", fmt.Sprint("2009-09-", 10+i)), model(t, r, false)))
	}
	for path, want := range map[string]string{
		"2009-09-10/INBOX/1.":           `\Seen 1 1`,
		"2009-09-10/INBOX/2.":           ` 2 2`,
		"2009-09-11/INBOX/1.":           `\Seen 1 1`,
		"2009-09-12/INBOX/1.":           `\Answered \Flagged \Seen $Label Work 1 1`,
		"2009-09-12/INBOX/2.":           ` 2 2`,
		"2009-09-13/INBOX/1.":           `Work 1 1`,
		"2009-09-12/INBOX/Copies/7.":    `\Draft 7 7`,
		"2009-09-12/INBOX/Old/4.":       `\Deleted 4 4`, // what was seen is not in an index of version 10
		"all/INBOX/1.":                  `Work 1 1`,
		"all/INBOX/2.2009-09-12":        ` 2 2`,
		"deleted/INBOX/2.2009-09-12":    ` 2 2`,
		"2009-09-12/INBOX":              "",
		"2009-09-12/INBOX/cyrus.index":  "",
		"2009-09-12/INBOX/cyrus.header": "",
	} {
		var got []string
		for _, name := range []string{"flags", "modseq", "uid"} {
			if value, ok := mustGetfattr(t, m.path("brong", path))["user.cyrus."+name]; ok {
				got = append(got, value)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, c := range []struct {
		file string
		a, b int // dates
		same bool
	}{{"INBOX/1.", 0, 1, true}, {"INBOX/2.", 0, 1, true}, {"INBOX/1.", 1, 2, false}, {"INBOX/2.", 1, 2, false}, {"INBOX/Old/4.", 0, 3, true}, {"INBOX/Copies/7.", 1, 3, true}} {
		if a, b := inodes[c.a][c.file], inodes[c.b][c.file]; (a == b) != c.same || a == 0 || b == 0 {
			t.Errorf("%s has inode %#x, then %#x", c.file, a, b)
		}
	}
	if a, b := inodes[1]["INBOX/1."], inodes[1]["INBOX/Copies/7."]; a == b {
		t.Errorf("a message has inode %#x in two folders, with other flags", a)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(m.path("brong/all/INBOX/2.2009-09-12"), &st); err != nil || st.Ino != inodes[2]["INBOX/2."] {
		t.Errorf("in all/ a message has inode %#x, %v, at its date %#x", st.Ino, err, inodes[2]["INBOX/2."])
	}

	// What copies attributes copies these.
	out := t.TempDir()
	output(t, "rsync", "-aX", m.path("brong")+"/", filepath.Join(out, "rsync"))
	output(t, "cp", "-a", m.path("brong"), filepath.Join(out, "cp"))
	all := func(dir string) string { return mustGetfattrs(t, dir) }
	want := all(m.path("brong"))
	if n := strings.Count(want, "user.cyrus.flags="); n != 3+4+4+3+4+1 {
		t.Errorf("%d files have flags", n)
	}
	for _, program := range []string{"rsync", "cp"} {
		if got := all(filepath.Join(out, program)); got != want {
			t.Errorf("%s has copied the attributes\n%s\nof\n%s", program, got, want)
		}
	}
	if log := m.log.String(); log != "" {
		t.Errorf("the log:\n%s", log)
	}

	m = x.mount("flags,layout=snapshots")
	if got := mustGetfattr(t, m.path("snapshots/2009-09-12/brong/INBOX/1."))["user.cyrus.flags"]; got != `\Answered \Flagged \Seen $Label Work` {
		t.Errorf("with layout=snapshots: %q", got)
	}
}

// mustGetfattr returns the extended attributes of a file.
func mustGetfattr(t *testing.T, path string) map[string]string {
	t.Helper()
	attributes := map[string]string{}
	for line := range strings.Lines(output(t, "getfattr", "-h", "--absolute-names", "-d", "-m", "-", path)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			attributes[name] = strings.ReplaceAll(strings.Trim(value, `"`), `\\`, `\`)
		}
	}
	return attributes
}

// mustGetfattrs returns those of all files below a directory.
func mustGetfattrs(t *testing.T, dir string) string {
	t.Helper()
	return output(t, "sh", "-c", `cd "$0" && find . -type f -print0 | sort -z | xargs -0 getfattr -h -d -m -`, dir)
}

// TestFlagsDamaged: where the index of a date is damaged there are no flags, which is logged once; all else of the messages is there.
func TestFlagsDamaged(t *testing.T) {
	x := newFixture(t)
	f := indextest.Folder{UniqueID: "id", Name: "INBOX.Work"}
	for uid := range 40 {
		f.Messages = append(f.Messages, message(uint32(uid+1), uid, 20_000))
	}
	r := indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05"), Folders: []indextest.Folder{f}}
	x.run(r)
	f.Messages[0].Flags, f.Keywords = cyrus.FlagSeen, []string{"Work"} // so that the header is another one, too
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-29T11:05"), Folders: []indextest.Folder{f}})
	flip(x, "brong", "INBOX/Work/cyrus.index", false)
	m := x.mount("flags")
	for uid := range 40 {
		path := m.path("brong/2009-09-28/INBOX/Work", fmt.Sprintf("%d.", uid+1))
		b := make([]byte, 100)
		if n, err := syscall.Getxattr(path, "user.cyrus.flags", b); err != syscall.EIO {
			t.Errorf("%s has flags %q, %v", path, b[:max(n, 0)], err)
		}
		if n, err := syscall.Getxattr(path, "user.cyrus.uid", b); err != nil || string(b[:n]) != fmt.Sprint(uid+1) {
			t.Errorf("%s has UID %q, %v", path, b[:max(n, 0)], err)
		}
	}
	if log := m.log.String(); strings.Count(log, "\n") != 1 || !strings.HasPrefix(log, `backupfs: user brong, 2009-09-28, "INBOX/Work": flags cannot be read: cyrus.index: `) {
		t.Errorf("the log:\n%s", log)
	}
	if got := mustGetfattr(t, m.path("brong/2009-09-29/INBOX/Work/1."))["user.cyrus.flags"]; got != `\Seen` {
		t.Errorf("on the next date 1. has %q", got)
	}
	m.end(syscall.SIGTERM)
	if err := os.Remove(x.user("brong").Index()); err != nil { // it does not fit the archive any more
		t.Error(err)
	}
}
