package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
)

// manyFolders is a run with deep, wide and empty folders, of names as long as they can be.
func manyFolders() indextest.Run {
	long := strings.Repeat("x", 255)
	r := indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05"), Sub: "INBOX", Seen: "seen"}
	for i, name := range []string{"INBOX", "INBOX.a", "INBOX.a.b.c.d", "INBOX.a.e", "INBOX." + long, "INBOX." + long + "." + long[1:], "INBOX." + long + "yy"} {
		f := indextest.Folder{UniqueID: fmt.Sprint("id", i), Name: name}
		for uid := range 40 * (i % 3) {
			f.Messages = append(f.Messages, message(uint32(uid+1), 100*i+uid, 200))
		}
		r.Folders = append(r.Folders, f)
	}
	for i := range 60 {
		r.Folders = append(r.Folders, indextest.Folder{UniqueID: fmt.Sprint("w", i), Name: fmt.Sprintf("INBOX.wide.%02d", i)})
	}
	return r
}

// TestFolders: link counts, "." and ".." of each folder of a mount are what programs make of them.
func TestFolders(t *testing.T) {
	x := newFixture(t)
	r := manyFolders()
	x.run(r)
	m := x.mount("uid=12,gid=34")
	mustMatch(t, m.path("brong/2009-09-28"), model(t, r, false))

	mustStat := func(path string) (st unix.Stat_t) {
		t.Helper()
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	folders, inodes := 0, map[uint64]string{}
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		folders++
		st, sub := mustStat(path), 0
		if was := inodes[st.Ino]; was != "" {
			t.Errorf("%s and %s have inode %#x", was, path, st.Ino)
		}
		inodes[st.Ino] = path
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				sub++
			}
		}
		// find(1) takes 1 for "not counted", and more for 2 and one for each folder in there, where it then looks for no more.
		if st.Nlink != 1 && st.Nlink != uint64(2+sub) {
			t.Errorf("%s holds %d folders, and has %d links", path, sub, st.Nlink)
		}
		// By its name "." is what the kernel knows, so it is the listing that is compared.
		if listed := mustDots(t, path); listed["."] != st.Ino || path != m.dir && listed[".."] != mustStat(filepath.Dir(path)).Ino {
			t.Errorf("%s has inode %#x, in %#x, and lists %#x", path, st.Ino, mustStat(filepath.Dir(path)).Ino, listed)
		}
		if up := mustStat(path + "/.."); up.Ino != mustStat(filepath.Dir(path)).Ino {
			t.Errorf("%s/..: %#x", path, up.Ino)
		}
		return nil
	})
	if err != nil || folders < 60 {
		t.Errorf("%d folders, %v", folders, err)
	}

	// With -noleaf, find looks at each entry; without, it believes the link count.
	all := output(t, "find", m.dir, "-noleaf", "-printf", "%y %i %p\n")
	if leaf := output(t, "find", m.dir, "-printf", "%y %i %p\n"); leaf != all || strings.Count(all, "\n") < 200 {
		t.Errorf("find finds\n%s\nand with -noleaf\n%s", leaf, all)
	}
	one := m.path("brong/2009-09-28/INBOX/a/3.")
	if got := output(t, "find", m.path("brong/2009-09-28"), "-inum", fmt.Sprint(mustStat(one).Ino)); got != one+"\n" {
		t.Errorf("find -inum: %q", got)
	}
	if _, err := os.Lstat(filepath.Join(m.path("brong/2009-09-28/INBOX"), strings.Repeat("x", 256))); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a name of 256 bytes: %v", err)
	}
	if log := m.log.String(); log != "" {
		t.Errorf("the log:\n%s", log)
	}
}

// mustDots returns the inodes that a folder lists for "." and "..".
func mustDots(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	found := map[string]uint64{}
	for _, e := range mustEntries(t, dir, 32<<10) {
		if e.Name == "." || e.Name == ".." {
			found[e.Name] = e.Ino
		}
	}
	return found
}

// mustEntries reads a folder by getdents with a buffer of so many bytes.
func mustEntries(t *testing.T, dir string, size int) []fuse.DirEntry {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return mustGetdents(t, fd, size, -1)
}

// mustGetdents reads on where fd stands, up to the end or until there are most entries.
func mustGetdents(t *testing.T, fd, size, most int) (all []fuse.DirEntry) {
	t.Helper()
	buf := make([]byte, size)
	for most < 0 || len(all) < most {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			var e fuse.DirEntry
			b = b[e.Parse(b):]
			all = append(all, e)
		}
	}
	return all
}

// TestTelldir: from the place behind each entry on, a listing goes on with what comes behind it, each name once; be it read with large or
// small buffers, from the kernel's memory or by asking.
func TestTelldir(t *testing.T) {
	x := newFixture(t)
	x.run(manyFolders())
	for i := range 20 {
		x.run(indextest.Run{User: "brong", Begun: mustDay("2009-10-01T11:05").AddDate(0, 0, i)})
	}
	for i := range 9 {
		x.run(indextest.Run{User: fmt.Sprint("user", i), Begun: mustDay("2009-09-28T11:05")})
	}
	m := x.mount("")
	for _, c := range []struct {
		dir   string
		count int
	}{
		{"", 2 + 10}, {"brong", 2 + 24}, {"brong/all/INBOX", 2 + 5}, {"brong/all/INBOX/wide", 2 + 60}, {"brong/deleted", 2 + 2}, {"brong/2009-09-28", 2 + 3}, {"brong/2009-09-28/INBOX/a", 2 + 40 + 2 + 2},
		{"brong/2009-09-28/INBOX/wide", 2 + 60}, {"brong/2009-09-28/.uniqueid", 2 + 67}, {"brong/2009-09-28/.meta", 2 + 2},
	} {
		dir := m.path(c.dir)
		whole := mustEntries(t, dir, 64<<10)
		seen := map[string]bool{}
		for _, e := range whole {
			seen[e.Name] = true
		}
		if len(whole) != c.count || len(seen) != c.count {
			t.Errorf("%s lists %d entries, %d names, want %d", c.dir, len(whole), len(seen), c.count)
		}
		same := func(a, b fuse.DirEntry) bool {
			return a.Name == b.Name && a.Ino == b.Ino && a.Mode == b.Mode && a.Off == b.Off
		}
		// The kernel keeps a listing that was read from start to end: of one that is opened anew, and of this.
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for _, size := range []int{300, 4096} {
			if got := mustEntries(t, dir, size); !slices.EqualFunc(got, whole, same) {
				t.Errorf("%s, read in pieces of %d bytes: %v, want %v", c.dir, size, got, whole)
			}
			for _, i := range backAndForth(len(whole)) {
				if _, err := unix.Seek(fd, int64(whole[i].Off), 0); err != nil {
					t.Fatal(err)
				}
				if got := mustGetdents(t, fd, size, 5); len(got) < min(5, len(whole)-i-1) || !slices.EqualFunc(got, whole[i+1:i+1+len(got)], same) {
					t.Errorf("%s, behind %q: %v, want %v", c.dir, whole[i].Name, got, whole[i+1:])
				}
			}
			if _, err := unix.Seek(fd, 0, 0); err != nil {
				t.Fatal(err)
			}
			if got := mustGetdents(t, fd, size, -1); !slices.EqualFunc(got, whole, same) {
				t.Errorf("%s, after rewinddir: %v, want %v", c.dir, got, whole)
			}
		}
	}
}

// backAndForth are the numbers below n from both ends.
func backAndForth(n int) (order []int) {
	for i := range n {
		if order = append(order, n-1-i); i < n-1-i {
			order = append(order, i)
		}
	}
	return order
}

// TestListingWhileUsersCome: whoever stays is listed once by a program that reads on while others come and go.
func TestListingWhileUsersCome(t *testing.T) {
	x := newFixture(t)
	for i := range 8 {
		x.run(indextest.Run{User: fmt.Sprint("stays", i), Begun: mustDay("2009-09-28T11:05")})
	}
	x.run(indextest.Run{User: "leaves", Begun: mustDay("2009-09-28T11:05")})
	m := x.mount("")
	fd, err := unix.Open(m.dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	got := mustGetdents(t, fd, 100, 4)
	for i := range 8 {
		x.run(indextest.Run{User: fmt.Sprint("comes", i), Begun: mustDay("2009-09-28T11:05")})
	}
	if err := os.RemoveAll(x.user("leaves").Dir); err != nil {
		t.Fatal(err)
	}
	mustNames(t, m.dir)         // another program sees some of it at once
	time.Sleep(2 * time.Second) // and by now it is what counts
	mustNames(t, m.dir)
	got = append(got, mustGetdents(t, fd, 100, -1)...)
	count := map[string]int{}
	for _, e := range got {
		count[e.Name]++
	}
	for name, n := range count {
		if n != 1 {
			t.Errorf("%s is listed %d times", name, n)
		}
	}
	for i := range 8 {
		if count[fmt.Sprint("stays", i)] != 1 {
			t.Errorf("stays%d is not listed", i)
		}
	}
}
