package source_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/lock"
	"backupfs/source"
)

// TestLockFilesBeforeTheServer: when we are the first to lock a mailbox, the files and folders that we make for it are such
// that the server can use them, whoever we are.
func TestLockFilesBeforeTheServer(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		lab := mustServer(t, cyruslab.Options{LegacyDirs: legacy, Hash: true})
		root := lab.Dir + "/run/lock"
		owner, err := lock.OwnerOf(root)
		cyruslab.Must(t, err, lab.Stop(), os.RemoveAll(root))
		l := mustOpen(t, lab, "")
		for _, m := range mustMailboxes(t, l) {
			if snap, err := l.Fetch(t.Context(), m, nothing, nil); err != nil || snap.Header.UniqueID != m.UniqueID {
				t.Fatal(err)
			}
		}
		files := 0
		cyruslab.Must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if !d.IsDir() {
				files++
			}
			if got, err := lock.OwnerOf(path); err != nil || got != owner {
				t.Errorf("%s is of %v, not %v; %v", path, got, owner, err)
			}
			return nil
		}))
		if files != 2 {
			t.Errorf("%d lock files for 2 mailboxes", files)
		}
		cyruslab.Must(t, lab.Start())
		c := lab.MustLogin(t, "alice")
		_, err = c.Select("INBOX")
		cyruslab.Must(t, err, c.Append("INBOX.Work", []byte("Subject: x\r\n\r\nx\r\n"), time.Time{}), c.Expunge("1:2"), c.Unselect(), c.Delete("INBOX.Work"))
	}
}

// TestLockFolderOfRoot: where the folder is root's, and the server's as a member of its group, the files are made as the server's user, or not
// at all.
func TestLockFolderOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		return // cannot make a folder of root's, nor a lock that the server cannot open
	}
	lab := mustServer(t, cyruslab.Options{})
	root := lab.Dir + "/run/lock"
	owner, err := lock.OwnerOf(root)
	cyruslab.Must(t, err, lab.Stop(), os.RemoveAll(root), os.Mkdir(root, 0o775), os.Chmod(root, 0o775), os.Chown(root, 0, owner.GID))
	l := mustOpen(t, lab, "")
	m := mustMailboxes(t, l)[0]
	if _, err := l.Fetch(t.Context(), m, nothing, nil); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(root + "/*")
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if got, err := lock.OwnerOf(files[0]); err != nil || got.UID != owner.UID {
		t.Errorf("%s is of %v; %v", files[0], got, err)
	}
	conf, err := os.ReadFile(lab.Conf)
	cyruslab.Must(t, err, os.WriteFile(lab.Conf, append(conf, "cyrus_user: nobody-of-that-name\n"...), 0o600))
	if _, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf}); err == nil {
		t.Error("locks would be made as root")
	}
}
