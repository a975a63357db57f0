package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/index/indextest"
)

// want is what the model says of one path.
type want struct {
	mode    fs.FileMode
	mtime   int64
	content string // of a file or link
}

// model says what a date shows, by path below it.
func model(t *testing.T, r indextest.Run, expunged bool) map[string]want {
	begun := r.Begun.Unix()
	dir := want{mode: fs.ModeDir | 0o700, mtime: begun}
	tree := map[string]want{".": dir, ".meta": dir, ".uniqueid": dir}
	if r.Seen != "" {
		tree[".meta/seen"] = want{mode: 0o600, content: r.Seen, mtime: -1}
	}
	if r.Sub != "" {
		tree[".meta/sub"] = want{mode: 0o600, content: r.Sub, mtime: -1}
	}
	for _, f := range r.Folders {
		path := cyrus.TreePath(f.Name)
		for i := range path {
			tree[strings.Join(path[:i+1], "/")] = dir
		}
		folder := strings.Join(path, "/")
		tree[".uniqueid/"+f.UniqueID] = want{mode: fs.ModeSymlink | 0o777, content: "../" + folder, mtime: begun}
		tree[folder+"/cyrus.index"] = want{mode: 0o600, content: string(f.Index(t)), mtime: -1}
		tree[folder+"/cyrus.header"] = want{mode: 0o600, content: string(f.Header()), mtime: -1}
		if f.Annotations != "" {
			tree[folder+"/cyrus.annotations"] = want{mode: 0o600, content: f.Annotations, mtime: -1}
		}
		for _, m := range f.Messages {
			if m.Missing || m.Unlinked || m.Expunged && !expunged {
				continue
			}
			tree[fmt.Sprintf("%s/%d.", folder, m.UID)] = want{mode: 0o600, content: m.Body, mtime: m.Date}
		}
	}
	return tree
}

// modelOpen is what a date shows with umask=000.
func modelOpen(t *testing.T, r indextest.Run) map[string]want {
	tree := model(t, r, false)
	for path, w := range tree {
		if w.mode&fs.ModeSymlink == 0 {
			w.mode |= w.mode&0o700>>3 | w.mode&0o700>>6
			tree[path] = w
		}
	}
	return tree
}

// mustMatch compares a date with the model: names, types, modes, owners, sizes, mtimes, contents, inodes, link counts. It returns the
// inodes of files.
func mustMatch(t *testing.T, dir string, tree map[string]want) map[string]uint64 {
	t.Helper()
	got := map[string]bool{}
	inodes := map[string]uint64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		got[rel] = true
		w, ok := tree[rel]
		if !ok {
			t.Errorf("%s: not in the model", rel)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		if d.Type() != w.mode.Type() || info.Mode() != w.mode {
			t.Errorf("%s: mode %v (listed as %v), want %v", rel, info.Mode(), d.Type(), w.mode)
		}
		if w.mtime != -1 && info.ModTime().Unix() != w.mtime {
			t.Errorf("%s: mtime %d, want %d", rel, info.ModTime().Unix(), w.mtime)
		}
		if st.Uid != 12 || st.Gid != 34 {
			t.Errorf("%s: owner %d, group %d", rel, st.Uid, st.Gid)
		}
		content := ""
		switch d.Type() {
		case 0:
			content = mustRead(t, path)
			inodes[rel] = st.Ino
		case fs.ModeSymlink:
			if content, err = os.Readlink(path); err != nil {
				return err
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s leads nowhere: %v", rel, err)
			}
		case fs.ModeDir:
			mustListInodes(t, path)
			return nil
		}
		if content != w.content || info.Size() != int64(len(w.content)) {
			t.Errorf("%s: %d bytes, stat says %d, want %d: %.80q, want %.80q", rel, len(content), info.Size(), len(w.content), content, w.content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, rel := range slices.Sorted(maps.Keys(tree)) {
		if !got[rel] {
			t.Errorf("%s: missing", rel)
		}
		if _, err := os.Lstat(filepath.Join(dir, rel)); err != nil {
			t.Errorf("%v", err)
		}
	}
	return inodes
}

// mustListInodes reads a directory as the kernel lists it: d_ino is st_ino, d_type is the type, "." and ".." are there, no name comes twice,
// and files come in the order of their inodes.
func mustListInodes(t *testing.T, dir string) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	seen := map[string]bool{}
	last := uint64(0)
	buf := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			var e fuse.DirEntry
			b = b[e.Parse(b):]
			if seen[e.Name] {
				t.Errorf("%s is listed twice in %s", e.Name, dir)
			}
			seen[e.Name] = true
			var st unix.Stat_t
			if err := unix.Fstatat(fd, e.Name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				t.Errorf("%s/%s: %v", dir, e.Name, err)
				continue
			}
			top := e.Name == ".." && isMount(dir) // it lies in another file system
			if e.Ino != st.Ino && !top {
				t.Errorf("%s/%s: d_ino %#x, st_ino %#x", dir, e.Name, e.Ino, st.Ino)
			}
			if e.Mode != st.Mode&unix.S_IFMT {
				t.Errorf("%s/%s: d_type %#o, mode %#o", dir, e.Name, e.Mode, st.Mode)
			}
			if e.Mode == unix.S_IFREG {
				if e.Ino < last {
					t.Errorf("%s/%s stands behind inode %#x, and has %#x", dir, e.Name, last, e.Ino)
				}
				last = e.Ino
			}
		}
	}
	if !seen["."] || !seen[".."] {
		t.Errorf("%s lists no . and ..", dir)
	}
}
