package source_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/lock"
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
