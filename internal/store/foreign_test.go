package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mustPlace(t *testing.T, root string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, p, "")
	}
}

// TestForeign finds the users of Cyrus::Backup's stores in each form that they have, and makes nothing in them.
func TestForeign(t *testing.T) {
	for name, c := range map[string]struct {
		files, links []string
		want         string // user=archive
	}{
		"data and meta": {[]string{"data/brong/backupdata-5.tar.gz", "data/a@b.c/backupdata-6.tar", "meta/brong/backupstate.sqlite3", "elsewhere/x/backupdata-7.tar"},
			[]string{"meta/brong/backupdata-5.tar.gz"}, "a@b.c=data/a@b.c/backupdata-6.tar brong=data/brong/backupdata-5.tar.gz"},
		"links that a copy made files of": {[]string{"data/brong/backupdata-5.tar", "meta/brong/backupdata-5.tar"}, nil, "brong=data/brong/backupdata-5.tar"},
		"one folder":                      {[]string{"brong/backupdata-5.tar", "brong/backupstate.sqlite3"}, nil, "brong=brong/backupdata-5.tar"},
		"user data":                       {[]string{"data/backupdata-5.tar", "brong/backupdata-5.tar"}, nil, "brong=brong/backupdata-5.tar data=data/backupdata-5.tar"},
		"below":                           {[]string{"disk1/b/brong/backupdata-5.tar", "disk2/c/cass/backupdata-5.tar", "state/brong/x"}, []string{"state/brong/backupdata-5.tar"}, "brong=disk1/b/brong/backupdata-5.tar cass=disk2/c/cass/backupdata-5.tar"},
		"hidden":                          {[]string{"x/backupdata-5.tar", ".snapshot/y/backupdata-5.tar"}, nil, "x=x/backupdata-5.tar"},
		"a compaction goes on":            {[]string{"x/backupdata-5.tar.gz", "x/backupdata-50.tar.gz"}, nil, "x=x/backupdata-5.tar.gz"},
		"itself":                          {[]string{"backupdata-5.tar.gz", "below/backupdata-5.tar.gz"}, nil, "store=backupdata-5.tar.gz"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			mustPlace(t, root, c.files...)
			for _, l := range c.links {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(root, l)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("../target", filepath.Join(root, l)); err != nil {
					t.Fatal(err)
				}
			}
			before := listing(t, root)
			st, err := OpenForeign(context.Background(), root, "/cache")
			if err != nil || !st.Foreign() {
				t.Fatal(st, err)
			}
			users, err := st.Users()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, u := range users {
				path, err := u.Archive()
				if err != nil {
					t.Fatal(err)
				}
				rel, _ := filepath.Rel(root, path)
				got = append(got, u.Name+"="+rel)
				if again, err := st.User(u.Name); err != nil || again != u || !u.Foreign() {
					t.Errorf("listed as %v, found as %v, %v", u, again, err)
				}
				for _, p := range []string{u.Index(), u.Lock()} {
					if want := filepath.Join("/cache", st.ID, Escape(u.Name)); filepath.Dir(p) != want {
						t.Errorf("%s is not in %s", p, want)
					}
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("found %q, want %q", s, c.want)
			}
			if u, err := st.User("nobody"); err != nil || u.Dir != "" || u.Foreign() {
				t.Errorf("%v, %v", u, err)
			}
			if after := listing(t, root); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		b.WriteString(path + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestForeignRefusals(t *testing.T) {
	open := func(root, cache string) error {
		_, err := OpenForeign(context.Background(), root, cache)
		return err
	}
	root := t.TempDir()
	if err := open(root, "/cache"); !errors.Is(err, ErrNotStore) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := open(filepath.Join(root, "nothing"), "/cache"); !errors.Is(err, ErrNotStore) {
		t.Errorf("no folder: %v", err)
	}
	mustPlace(t, root, "disk1/brong/backupdata-5.tar")
	if err := open(root, filepath.Join(root, "cache")); !errors.Is(err, ErrCacheInside) {
		t.Errorf("the cache in the store: %v", err)
	}
	mustPlace(t, root, "disk2/brong/backupdata-6.tar.gz")
	err := open(root, "/cache")
	if !errors.Is(err, ErrTwoFolders) || !strings.Contains(err.Error(), "disk1/brong") || !strings.Contains(err.Error(), "disk2/brong") {
		t.Errorf("two folders of one user: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := OpenForeign(ctx, root, "/cache"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Init(filepath.Join(root, "own")); err != nil {
		t.Fatal(err)
	}
	if err := open(filepath.Join(root, "own"), "/cache"); !errors.Is(err, ErrOurs) {
		t.Errorf("a store of ours: %v", err)
	}
	st := &Store{Root: root, ID: "x"}
	if u, _ := st.User("brong"); u.Foreign() || !strings.HasPrefix(u.Index(), root) || u.State() != "" {
		t.Errorf("ours: %v", u)
	}
}

// A user who comes while a store is open is found, and one who goes has no archive.
func TestForeignChanges(t *testing.T) {
	root := t.TempDir()
	mustPlace(t, root, "data/a/backupdata-5.tar", "meta/a/backupstate.sqlite3")
	st, err := OpenForeign(context.Background(), root, "/cache")
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := st.User("b"); u.Dir != "" {
		t.Errorf("b is not there: %v", u)
	}
	mustPlace(t, root, "data/b/backupdata-5.tar")
	if u, err := st.User("b"); err != nil || u.State() != filepath.Join(root, "meta/b/backupstate.sqlite3") {
		t.Errorf("b came: %v, %v", u, err)
	}
	if err := os.RemoveAll(filepath.Join(root, "data/a")); err != nil {
		t.Fatal(err)
	}
	if u, err := st.User("a"); err != nil {
		t.Error(err)
	} else if _, err := u.Archive(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a went: %v, %v", u, err)
	}
	if users, err := st.Users(); err != nil || len(users) != 1 || users[0].Name != "b" {
		t.Errorf("%v, %v", users, err)
	}
}
