package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCompactMounted: who has a date open that a compaction drops, a file or a folder in its midst, reads on to the end what it was; and the
// mount shows the dates that are left, and the next one.
func TestCompactMounted(t *testing.T) {
	x := newFixture(t)
	h := newHistory(x, "brong", 1)
	for range 5 {
		h.backup()
		h.live()
	}
	m := x.mount("uid=12,gid=34")
	first := h.runs[0]
	date := m.path("brong", first.run.Begun.Format("2006-01-02T1504Z"))
	root, err := os.OpenRoot(date)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	inbox := first.run.Folders[0].Messages
	path := fmt.Sprintf("INBOX/%d.", inbox[0].UID)
	fd, err := unix.Open(filepath.Join(date, path), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dir, err := root.Open("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(3)
	if err != nil {
		t.Fatal(err)
	}

	h.compact(2)
	h.live()
	h.backup()

	want := map[string]bool{"all": true, "deleted": true, "latest": true}
	for name := range h.versions[len(h.versions)-1].dates {
		want[name] = true
	}
	m.wait("the dates are those that are left, and the new one", func() bool {
		now := mustNames(t, m.path("brong"))
		return len(now) == len(want) && !slices.ContainsFunc(now, func(name string) bool { return !want[name] })
	})
	for name, s := range h.versions[len(h.versions)-1].dates {
		mustMatch(t, m.path("brong", name), s.tree)
	}

	mustForget(t, fd)
	buf := make([]byte, 1<<20)
	n, err := unix.Pread(fd, buf, 0)
	if w := first.tree[path].content; err != nil || string(buf[:n]) != w {
		t.Errorf("a file that is open: %d bytes, %v, want %d", n, err, len(w))
	}
	rest, err := dir.Readdirnames(-1)
	if err != nil {
		t.Errorf("a folder that is being listed: %v", err)
	}
	files := 0
	for rel, w := range first.tree {
		if filepath.Dir(rel) == "INBOX" && w.mode.IsRegular() {
			files++
		}
	}
	if n := len(names) + len(rest); n < files {
		t.Errorf("a folder that is being listed has %d entries, and should have %d", n, files)
	}
	got := map[string]string{}
	err = fs.WalkDir(root.FS(), ".", func(rel string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var f *os.File
			if f, err = root.Open(rel); err == nil {
				var b []byte
				b, err = io.ReadAll(f)
				got[rel] = string(b)
				_ = f.Close()
			}
		}
		return err
	})
	if err != nil {
		t.Errorf("a walk through a date that is gone: %v", err)
	}
	for rel, w := range first.tree {
		if w.mode.IsRegular() && got[rel] != w.content {
			t.Errorf("%s: %d bytes, want %d", rel, len(got[rel]), len(w.content))
		}
	}
	if log := strange.ReplaceAllString(m.log.String(), ""); log != "" {
		t.Errorf("the log:\n%s", log)
	}
}
