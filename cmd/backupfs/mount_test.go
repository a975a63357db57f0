package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
	"backupfs/internal/store"
)

// body is a message of about size bytes that no other is like.
func body(seed, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: message %d\r\n\r\n", seed)
	x := uint32(seed)*2654435761 + 1
	for b.Len() < size {
		x = x*1664525 + 1013904223
		fmt.Fprintf(&b, "line %x\r\n", x)
	}
	return b.String()[:max(size, 20)]
}

// message with a body of its own.
func message(uid uint32, seed, size int) indextest.Message {
	return indextest.Message{UID: uid, Body: body(seed, size), Date: 1254000000 + int64(seed)}
}

// days is a user's history: what comes, goes, moves, is expunged, is missing, is renamed, is deleted, in folders of odd names.
func days(user string) []indextest.Run {
	moved := message(3, 3, 5000)
	movedTo := moved
	movedTo.UID = 1
	redated := moved
	redated.UID, redated.Date = 2, 86400*365 // the same bytes by another date
	expunged := message(2, 2, 700)
	expunged.Expunged = true
	missing := message(9, 9, 900)
	missing.Missing = true
	old := indextest.Message{UID: 11, Body: body(11, 512), Date: 40_000_000}
	late := indextest.Message{UID: 12, Body: body(12, 1024), Date: 2_190_000_000}
	empty := indextest.Message{UID: 13, Body: "", Date: 1254000013}
	large := message(14, 14, 700_000)
	inbox := func(ms ...indextest.Message) indextest.Folder {
		return indextest.Folder{UniqueID: "id-inbox", Name: "INBOX", Messages: ms}
	}
	deep := indextest.Folder{UniqueID: "id-deep", Name: "INBOX.Archive.2008.Q 1", Messages: []indextest.Message{movedTo, redated}}
	utf7 := indextest.Folder{UniqueID: "id-utf7", Name: "INBOX.Entw&APw-rfe", Annotations: "remember\x00this", Messages: []indextest.Message{message(4294967295, 20, 100)}}
	dotted := indextest.Folder{UniqueID: "id-dot", Name: "INBOX.v1^2 notes"}
	gone := indextest.Folder{UniqueID: "id-gone", Name: "DELETED.user." + user + ".Gone.6B054A70", Messages: []indextest.Message{message(1, 30, 3000)}}
	before := gone
	before.Name = "INBOX.Gone"
	return []indextest.Run{
		{User: user, Begun: mustDay("2009-09-27T23:00"), Seen: "seen 1", Sub: "INBOX.Gone",
			Folders: []indextest.Folder{inbox(message(1, 1, 2000), message(2, 2, 700), moved, missing, old, late, empty), utf7, before}},
		{User: user, Begun: mustDay("2009-09-28T11:05"), Seen: "seen 2",
			Folders: []indextest.Folder{inbox(message(1, 1, 2000), expunged, missing, old, late, empty, large), utf7, dotted, deep, gone}},
		{User: user, Begun: mustDay("2009-09-28T23:00"), Seen: "seen 2", Skipped: []string{"INBOX.v1^2 notes"},
			Folders: []indextest.Folder{inbox(message(1, 1, 2000), large), utf7, dotted, deep}},
	}
}

func TestTree(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	for _, r := range runs {
		x.run(r)
	}
	x.run(indextest.Run{User: "jane.doe@example.com", Begun: mustDay("2009-09-28T01:00")})

	m := x.mount("uid=12,gid=34")
	if got := mustNames(t, m.dir); !slices.Contains(got, "brong") || !slices.Contains(got, "jane.doe@example.com") || len(got) != 2 {
		t.Errorf("users: %q", got)
	}
	dates := []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"}
	if got := mustNames(t, m.path("brong")); !slices.Equal(got, append([]string{"all", "deleted", "latest"}, dates...)) {
		t.Errorf("dates: %q", got)
	}
	mustListInodes(t, m.dir)
	mustListInodes(t, m.path("brong"))
	if target, err := os.Readlink(m.path("brong", "latest")); err != nil || target != "2009-09-28" {
		t.Errorf("latest leads to %q, %v", target, err)
	}
	var inodes []map[string]uint64
	for i, date := range dates {
		inodes = append(inodes, mustMatch(t, m.path("brong", date), model(t, runs[i], false)))
	}
	// One inode for all dates and folders, but for the date that is not that of the bytes.
	for _, file := range []string{"INBOX/1.", "INBOX/11.", "INBOX/Entw&APw-rfe/4294967295.", "INBOX/Entw&APw-rfe/cyrus.index"} {
		if inodes[0][file] != inodes[1][file] || inodes[0][file] == 0 {
			t.Errorf("%s has inode %#x, then %#x", file, inodes[0][file], inodes[1][file])
		}
	}
	const moved, redated = "INBOX/Archive/2008/Q 1/1.", "INBOX/Archive/2008/Q 1/2."
	if a, b, c := inodes[0]["INBOX/3."], inodes[1][moved], inodes[1][redated]; a != b || a == c || c == 0 {
		t.Errorf("a message has inode %#x, moved %#x, by another date %#x", a, b, c)
	}
	if inodes[0]["INBOX/cyrus.index"] == inodes[1]["INBOX/cyrus.index"] {
		t.Error("two indexes share an inode")
	}
	for _, path := range []string{"nobody", "brong/2009-09-26", "brong/2009-09-28T1105", "brong/latest/INBOX/2.", "brong/latest/INBOX/01.",
		"brong/latest/INBOX/1", "brong/latest/INBOX/cyrus.backupfs", "brong/latest/INBOX/cyrus.annotations", "brong/latest/.deleted", "%62rong"} {
		if _, err := os.Lstat(m.path(path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that it does not exist", path, err)
		}
	}
	if _, err := os.Lstat(m.path("brong", strings.Repeat("x", 256))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name of 256 bytes: %v", err)
	}
	for view, want := range map[string]string{
		"all": `INBOX/1.
INBOX/11.2009-09-28T1105Z
INBOX/12.2009-09-28T1105Z
INBOX/13.2009-09-28T1105Z
INBOX/14.
INBOX/2.2009-09-27
INBOX/3.2009-09-27
INBOX/Archive/2008/Q 1/1.
INBOX/Archive/2008/Q 1/2.
INBOX/Entw&APw-rfe/4294967295.
INBOX/Gone.until-2009-09-27/1.2009-09-27
`,
		"deleted": `INBOX/11.2009-09-28T1105Z
INBOX/12.2009-09-28T1105Z
INBOX/13.2009-09-28T1105Z
INBOX/2.2009-09-27
INBOX/Gone.until-2009-09-27/1.2009-09-27
`,
	} {
		if got := output(t, "sh", "-c", `cd "$0" && find . -type f -printf '%P\n' | sort`, m.path("brong", view)); got != want {
			t.Errorf("%s has\n%s", view, got)
		}
		mustListInodes(t, m.path("brong", view, "INBOX"))
	}
	if log := m.log.String(); log != "" {
		t.Errorf("the log is not empty:\n%s", log)
	}
	m.end(syscall.SIGTERM)

	m = x.mount("uid=12,gid=34,expunged,umask=027,tz=Asia/Kolkata")
	tree := model(t, runs[1], true)
	for path, w := range tree {
		if w.mode&os.ModeSymlink == 0 {
			w.mode |= w.mode & 0o700 >> 3 &^ 0o020
			tree[path] = w
		}
	}
	// 23:00 UTC is the next day there.
	mustMatch(t, m.path("brong", "2009-09-28"), tree)
	if got := mustNames(t, m.path("brong")); !slices.Equal(got, []string{"all", "deleted", "latest", "2009-09-28T0430+0530", "2009-09-28", "2009-09-29"}) {
		t.Errorf("dates in India: %q", got)
	}
}

// TestLargeFolder lists a folder that needs hundreds of READDIRs, while others do.
func TestLargeFolder(t *testing.T) {
	const n = 20000
	x := newFixture(t)
	f := indextest.Folder{UniqueID: "id", Name: "INBOX"}
	for i := range n {
		f.Messages = append(f.Messages, message(uint32(i+1), i%50, 60))
	}
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05"), Folders: []indextest.Folder{f}})
	m := x.mount("")
	dir := m.path("brong/latest/INBOX") + "/"
	var g errgroup.Group
	for range 3 {
		g.Go(func() error {
			out, err := exec.Command("sh", "-c", `find "$0" -type f -name '*.' | sort -u | wc -l`, dir).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err == nil && got != fmt.Sprint(n) {
				err = fmt.Errorf("find found %s of %d", got, n)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	// Seeking: from any place on come the names that came behind it.
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 2000)
	for range 100 {
		if _, err := unix.Getdents(fd, buf); err != nil {
			t.Fatal(err)
		}
	}
	off, err := unix.Seek(fd, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	k, err := unix.Getdents(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	first := string(buf[:k])
	if _, err := unix.Seek(fd, off, 0); err != nil {
		t.Fatal(err)
	}
	if k, err = unix.Getdents(fd, buf); err != nil {
		t.Fatal(err)
	}
	// One of them can be shorter, where an answer of the file system ended.
	if again := string(buf[:k]); again == "" || !strings.HasPrefix(first, again) && !strings.HasPrefix(again, first) {
		t.Errorf("after a seek back other names come: %q, then %q", first, again)
	}
}

// TestNewRun: what a backup adds is seen soon (a second, where there is time), however well the kernel knows what was there before.
func TestNewRun(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	x.run(runs[0])
	m := x.mount("uid=12,gid=34")
	look := func() string {
		target, _ := os.Readlink(m.path("brong", "latest"))
		_, err := os.Stat(m.path("brong", "2009-09-28"))
		return fmt.Sprintf("%v %s %v", mustNames(t, m.path("brong")), target, err == nil)
	}
	within := func(what string, want func() bool) {
		t.Helper()
		start := time.Now()
		for !want() {
			if time.Since(start) > patience {
				t.Fatalf("%s: not seen within %v: %s\n%s", what, patience, look(), m.log)
			}
			look() // so that the kernel keeps what it sees now
			time.Sleep(20 * time.Millisecond)
		}
	}
	if got := look(); got != "[all deleted latest 2009-09-27] 2009-09-27 false" {
		t.Fatal(got)
	}
	held, err := os.Open(m.path("brong/2009-09-27/INBOX/1."))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	x.run(runs[1])
	within("a second day", func() bool { return look() == "[all deleted latest 2009-09-27 2009-09-28] 2009-09-28 true" })
	x.run(runs[2])
	within("a second run of that day", func() bool {
		return look() == "[all deleted latest 2009-09-27 2009-09-28T1105Z 2009-09-28] 2009-09-28 true"
	})
	for i, date := range []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"} {
		mustMatch(t, m.path("brong", date), model(t, runs[i], false))
	}
	if got := make([]byte, 4000); true {
		if n, err := held.Read(got); err != nil || string(got[:n]) != runs[0].Folders[0].Messages[0].Body {
			t.Errorf("a file that was open meanwhile: %d bytes, %v", n, err)
		}
	}
	x.run(indextest.Run{User: "cassandane", Begun: mustDay("2009-09-28T01:00")})
	within("a new user", func() bool { return slices.Contains(mustNames(t, m.dir), "cassandane") })
}

// TestPrivateIndex: a store whose index is missing, behind or broken, and that cannot be written, shows the same tree.
func TestPrivateIndex(t *testing.T) {
	for name, spoil := range map[string]func(x *fixture, runs []indextest.Run) error{
		"missing": func(x *fixture, _ []indextest.Run) error { return os.Remove(x.user("brong").Index()) },
		"broken": func(x *fixture, _ []indextest.Run) error {
			return os.WriteFile(x.user("brong").Index(), []byte(strings.Repeat("no database ", 1000)), 0o600)
		},
		"behind": func(*fixture, []indextest.Run) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			x := newFixture(t)
			runs := days("brong")
			x.run(runs[0])
			x.run(runs[1])
			x.runOnly(runs[2])
			if err := spoil(x, runs); err != nil {
				t.Fatal(err)
			}
			before := output(t, "sh", "-c", `cd "$0" && find . -printf '%p %s %T@ %C@\n' | sort`, x.store.Root)
			m := x.mount("uid=12,gid=34")
			for i, date := range []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"} {
				mustMatch(t, m.path("brong", date), model(t, runs[i], false))
			}
			if log := m.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "brong") || !strings.Contains(log, m.cache) {
				t.Errorf("the log, which should say it in one line:\n%s", log)
			}
			if after := output(t, "sh", "-c", `cd "$0" && find . -printf '%p %s %T@ %C@\n' | sort`, x.store.Root); after != before {
				t.Errorf("the store was written to: before\n%safter\n%s", before, after)
			}
			m.end(syscall.SIGTERM)
			x.user("brong")
			if err := os.RemoveAll(x.user("brong").Index()); err != nil { // so that the clean-up does not check it
				t.Fatal(err)
			}
		})
	}
}

// TestPrograms: what administrators use runs clean, and agrees with the model.
func TestPrograms(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	for _, r := range runs {
		x.run(r)
	}
	m := x.mount("uid=12,gid=34")
	date := m.path("brong/2009-09-28T1105Z")
	tree := model(t, runs[1], false)
	out := t.TempDir()
	output(t, "cp", "-a", date, filepath.Join(out, "cp"))
	output(t, "rsync", "-aHAX", date+"/", filepath.Join(out, "rsync"))
	output(t, "sh", "-c", `mkdir "$1" && tar -C "$0" -cf - . | tar -C "$1" --warning=no-timestamp -xpf -`, date, filepath.Join(out, "tar"))
	for _, copied := range []string{"cp", "rsync", "tar"} {
		t.Run(copied, func(t *testing.T) { mustMatchCopy(t, filepath.Join(out, copied), tree) })
	}
	output(t, "diff", "-r", date, filepath.Join(out, "cp"))
	if got := output(t, "grep", "-rl", "Subject: message 1\r$", m.path("brong", "latest")+"/"); !strings.HasSuffix(got, "/INBOX/1.\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("grep found %q", got)
	}
	if got := output(t, "find", m.dir, "-type", "f", "-name", "1.", "-size", "+1k"); strings.Count(got, "\n") != 9 {
		t.Errorf("find found\n%s", got)
	}
	for _, change := range [][]string{
		{"touch", date + "/new"}, {"rm", "-f", date + "/INBOX/1."}, {"mkdir", m.path("x")}, {"mv", date, date + "x"},
		{"sh", "-c", `echo >> "$0"`, date + "/INBOX/1."}, {"chmod", "777", date}, {"ln", "-s", "x", date + "/y"}, {"setfattr", "-n", "user.x", "-v", "1", date},
	} {
		if out, err := exec.Command(change[0], change[1:]...).CombinedOutput(); err == nil || !strings.Contains(string(out), "Read-only file system") {
			t.Errorf("%q: %v, %s", change, err, out)
		}
	}
}

// mustMatchCopy compares a copy with the model; who owns it, and inodes, are the copy's own.
func mustMatchCopy(t *testing.T, dir string, tree map[string]want) {
	t.Helper()
	for rel, w := range tree {
		info, err := os.Lstat(filepath.Join(dir, rel))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != w.mode || w.mtime != -1 && info.ModTime().Unix() != w.mtime {
			t.Errorf("%s: %v, %v, want %+v", rel, info.Mode(), info.ModTime(), w)
		}
		if info.Mode().IsRegular() && mustRead(t, filepath.Join(dir, rel)) != w.content {
			t.Errorf("%s has other bytes", rel)
		}
	}
}

func TestAttributes(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	for _, r := range runs {
		x.run(r)
	}
	m := x.mount("")
	get := func(path string) string {
		return output(t, "getfattr", "--absolute-names", "--only-values", "-d", "-m", "-", m.path("brong", path))
	}
	for path, want := range map[string]string{
		"2009-09-28":                           "2009-09-28T23:00:00Z" + "no" + "3",
		"2009-09-27":                           "2009-09-27T23:00:00Z" + "yes" + "1",
		"2009-09-28/INBOX":                     "",
		"2009-09-27/INBOX/cyrus.index":         "",
		"2009-09-28/INBOX/1.":                  fmt.Sprint(runs[0].Folders[0].Messages[0].GUID(runs[0].Folders[0])) + "2009-09-26T21:20:01Z",
		"2009-09-28/INBOX/Archive/2008/Q 1/2.": fmt.Sprint(runs[1].Folders[3].Messages[1].GUID(runs[1].Folders[3])) + "1971-01-01T00:00:00Z",
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil || st.Blocks == 0 || st.Bfree != 0 || st.Namelen != 255 || st.Flags&unix.ST_RDONLY == 0 {
		t.Errorf("statfs: %+v, %v", st, err)
	}
}

// TestReaders: many programs at once read the right bytes, with a cache that holds next to nothing.
func TestReaders(t *testing.T) {
	x := newFixture(t)
	var runs []indextest.Run
	for _, user := range []string{"brong", "cassandane", "@shared"} {
		for _, r := range days(user) {
			x.run(r)
			runs = append(runs, r)
		}
	}
	m := x.mount("uid=12,gid=34,cache=1M")
	dates := []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"}
	var g errgroup.Group
	for i := range 9 {
		g.Go(func() error {
			r := runs[i]
			mustMatch(t, m.path(store.Escape(r.User), dates[i%3]), model(t, r, false))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestUTF8: folders have the names that people gave them, in dates and in views, and all is found under them.
func TestUTF8(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	runs[1].Folders = slices.DeleteFunc(runs[1].Folders, func(f indextest.Folder) bool { return f.UniqueID == "id-utf7" })
	x.run(runs[0])
	x.run(runs[1])
	m := x.mount("uid=12,gid=34,utf8")
	tree := map[string]want{}
	for path, w := range model(t, runs[0], false) {
		if w.mode&os.ModeSymlink != 0 {
			w.content = strings.ReplaceAll(w.content, "&APw-", "ü")
		}
		tree[strings.ReplaceAll(path, "&APw-", "ü")] = w
	}
	mustMatch(t, m.path("brong", "2009-09-27"), tree)
	for _, path := range []string{"all/INBOX/Entwürfe.until-2009-09-27/4294967295.2009-09-27", "deleted/INBOX/Entwürfe.until-2009-09-27"} {
		if _, err := os.Stat(m.path("brong", path)); err != nil {
			t.Error(err)
		}
	}
}

// TestSnapshots: with layout=snapshots each day has the users who have a run then, and of each the newest.
func TestSnapshots(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	for _, r := range runs {
		x.run(r)
	}
	x.run(indextest.Run{User: "jane", Begun: mustDay("2009-09-29T01:00")})
	m := x.mount("uid=12,gid=34,layout=snapshots")
	if got := mustNames(t, m.dir); !slices.Equal(got, []string{"snapshots"}) {
		t.Errorf("the root lists %q", got)
	}
	today := time.Now().UTC().Format("2006-01-02") // it may be yesterday in a moment
	if listed := mustNames(t, m.path("snapshots")); listed[0] != "2009-09-27" || listed[1] != "2009-09-28" || !slices.Contains(listed, today) || !slices.IsSorted(listed) {
		t.Errorf("%d days are listed, from %s on; today is %s", len(listed), listed[0], today)
	}
	for date, users := range map[string][]string{"2009-09-27": {"brong"}, "2009-09-28": {"brong"}, "2009-09-29": {"jane"}, "2009-09-30": nil, "2009-09-26": nil} {
		if got := mustNames(t, m.path("snapshots", date)); !slices.Equal(got, users) {
			t.Errorf("%s has the users %q", date, got)
		}
		mustListInodes(t, m.path("snapshots", date))
	}
	mustListInodes(t, m.path("snapshots"))
	mustMatch(t, m.path("snapshots/2009-09-27/brong"), model(t, runs[0], false))
	mustMatch(t, m.path("snapshots/2009-09-28/brong"), model(t, runs[2], false))
	for _, path := range []string{"brong", "snapshots/2009-9-28", "snapshots/2009-09-28T1105Z", "snapshots/2999-01-01", "snapshots/2009-09-28/nobody", "snapshots/2009-09-28/jane"} {
		if _, err := os.Lstat(m.path(path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that it does not exist", path, err)
		}
	}
	more := indextest.Run{User: "brong", Begun: mustDay("2009-09-29T01:00"), Folders: runs[0].Folders}
	x.run(more)
	m.wait("a new day of a user", func() bool { _, err := os.Stat(m.path("snapshots/2009-09-29/brong")); return err == nil })
	mustMatch(t, m.path("snapshots/2009-09-29/brong"), model(t, more, false))
}
