package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestEscapeInverse(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, "name"))
		escaped := Escape(name)
		back, err := Unescape(escaped)
		if err != nil || back != name {
			t.Fatalf("Unescape(%q) = %q, %v, want %q", escaped, back, err, name)
		}
		for i := 0; i < len(escaped); i++ {
			if c := escaped[i]; c != '%' && !plain(c, false) {
				t.Fatalf("%q holds %q", escaped, c)
			}
		}
		if escaped[0] == '.' || escaped[0] == '-' {
			t.Fatalf("%q begins badly", escaped)
		}
	})
}

// What Unescape takes is exactly what Escape makes: so no two folders are one user's, and no user has two.
func TestUnescapeStrict(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		escaped := rapid.StringMatching(`[a-z%0-9A-F.\-/é]{0,12}`).Draw(t, "escaped")
		name, err := Unescape(escaped)
		if err == nil && Escape(name) != escaped {
			t.Fatalf("%q was taken for %q, whose folder is %q", escaped, name, Escape(name))
		}
	})
	for _, bad := range []string{"", "%", "%4", "%41", "%2f", "a/b", "..", ".a", "-x", "a b"} {
		if name, err := Unescape(bad); !errors.Is(err, ErrName) {
			t.Errorf("Unescape(%q) = %q, %v", bad, name, err)
		}
	}
}

func TestInitAndOpen(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	root := filepath.Join(t.TempDir(), "store")
	if _, err := Open(root); !errors.Is(err, ErrNotStore) {
		t.Fatalf("Open of nothing: %v", err)
	}
	made, err := Init(root)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Init(root)
	if !made.Created {
		t.Error("a store was made, and nobody is told")
	}
	if err != nil || *again != (Store{Root: root, ID: made.ID}) || made.ID == "" {
		t.Fatalf("made %v, opened %v, %v", made, again, err)
	}
	u, err := made.User("a/b c")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Make(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRefusals(t *testing.T) {
	full := t.TempDir()
	mustWrite(t, filepath.Join(full, "letter.txt"), "dear")
	if _, err := Init(full); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("Init of a full folder: %v", err)
	}
	if entries, _ := os.ReadDir(full); len(entries) != 1 {
		t.Errorf("the refused folder now holds %v", entries)
	}
	for text, want := range map[string]error{
		"format = 2\nid = \"x\"\n": ErrNewer,
		"format = 1\n":             ErrNotStore,
		"id = \"x\"\n":             ErrNotStore,
		"rubbish":                  ErrNotStore,
	} {
		root := t.TempDir()
		mustWrite(t, filepath.Join(root, configName), text)
		if _, err := Open(root); !errors.Is(err, want) {
			t.Errorf("Open with %q: %v, want %v", text, err, want)
		}
		if _, err := Init(root); err == nil {
			t.Errorf("Init with %q took it", text)
		}
	}
	st := &Store{Root: "/s", ID: "x"}
	for _, name := range []string{"", "a\x00b", strings.Repeat("é", 43)} {
		if u, err := st.User(name); !errors.Is(err, ErrName) {
			t.Errorf("User(%q) = %v, %v", name, u, err)
		}
	}
	if _, err := st.User(strings.Repeat("a", maxName)); err != nil {
		t.Error(err)
	}
}

func TestUsersAndArchive(t *testing.T) {
	st, err := Init(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	if users, err := st.Users(); err != nil || len(users) != 0 {
		t.Fatalf("a new store has %v, %v", users, err)
	}
	names := []string{"zoe", "@shared", "brong@example.com", "ä"}
	for _, name := range names {
		u := mustUser(t, st, name)
		for _, f := range []string{
			"backupdata-5.tar.gz", "backupdata-10.tar.gz", "backupdata-9.tar.gz", "backupdata-11.tar.gz.torn-12",
			"backupdata-x.tar.gz", "backupdata-99.tar.gz.new", "index.sqlite3", "lock",
		} {
			mustWrite(t, filepath.Join(u.Dir, f), "")
		}
		if path, err := u.Archive(); err != nil || filepath.Base(path) != "backupdata-10.tar.gz" {
			t.Errorf("Archive() = %s, %v", path, err)
		}
	}
	mustUser(t, st, "empty")
	if err := os.MkdirAll(filepath.Join(st.Root, "users", "zz", "stray"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(st.Root, "users", "zz", "stray", "backupdata-1.tar.gz"), "")
	users, err := st.Users()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range users {
		got = append(got, u.Name)
	}
	if strings.Join(got, " ") != "@shared brong@example.com zoe ä" {
		t.Errorf("users %q", got)
	}
	if all, err := st.Folders(); err != nil || len(all) != len(users)+1 {
		t.Errorf("folders %v, %v; one has no archive", all, err)
	}
}

func mustUser(t *testing.T, st *Store, name string) User {
	t.Helper()
	u, err := st.User(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Make(); err != nil {
		t.Fatal(err)
	}
	return u
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A crash while the store was made leaves a folder in which it can be made.
func TestInitAfterCrash(t *testing.T) {
	root := t.TempDir()
	mustWrite(t, filepath.Join(root, configName+".tmp"), "form")
	if _, err := Init(root); err != nil {
		t.Error(err)
	}
	if _, err := Open(root); err != nil {
		t.Error(err)
	}
}

// TestRead: who comes while an archive is replaced gets the new one; one that is gone is gone.
func TestRead(t *testing.T) {
	st, err := Init(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	u, err := st.User("brong")
	if err == nil {
		err = u.Make()
	}
	if err != nil {
		t.Fatal(err)
	}
	old, now := filepath.Join(u.Dir, "backupdata-1.tar.gz"), filepath.Join(u.Dir, "backupdata-2.tar.gz")
	mustWrite(t, old, "old")
	var read []string
	err = u.Read(func(path string) error {
		if read = append(read, filepath.Base(path)); len(read) == 1 {
			if err := os.Rename(old, now); err != nil {
				t.Fatal(err)
			}
		}
		_, err := os.ReadFile(path)
		return err
	})
	if err != nil || !slices.Equal(read, []string{"backupdata-1.tar.gz", "backupdata-2.tar.gz"}) {
		t.Errorf("%q, %v", read, err)
	}
	if err := u.Read(func(string) error { return fs.ErrNotExist }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what it lacks stays the same: %v", err)
	}
	if err := os.Remove(now); err != nil {
		t.Fatal(err)
	}
	if err := u.Read(func(string) error { t.Error("there is no archive"); return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
