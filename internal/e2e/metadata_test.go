package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/internal/cyruslab"
)

// TestMetadataUnknown: where annotations.db cannot be read, a run says so, of a server or of an agent, and the METADATA of the run before
// stays; that there is none any more is another thing.
func TestMetadataUnknown(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	lab.MustAddUsers(t, "alice", "bob")
	for _, user := range []string{"alice", "bob"} {
		c := lab.MustLogin(t, user)
		cyruslab.Must(t, c.Create("INBOX.Work"), c.SetMetadata("INBOX", "/private/comment", "mine"), c.SetMetadata("INBOX.Work", "/shared/comment", "ours"))
	}
	cyruslab.Must(t, lab.Stop()) // with such a database it would not start
	db := lab.Dir + "/conf/annotations.db"
	good, err := os.ReadFile(db)
	cyruslab.Must(t, err)
	addr, _, _ := mustAgent(t, lab.Conf, lab.Dir+"/agent.sock")
	for name, from := range map[string][]string{"spool": {"--imapd-conf", lab.Conf}, "agent": {"--from", addr}} {
		t.Run(name, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "store")
			backup := func(code int) string {
				t.Helper()
				return mustRun(t, code, "backupd", append([]string{"backup", "--store", store}, from...)...).stderr
			}
			cyruslab.Must(t, os.WriteFile(db, good, 0o600))
			backup(0)
			for what, content := range map[string][]byte{"damaged": good[:len(good)-1], "of a type that is not known": []byte("other")} {
				cyruslab.Must(t, os.WriteFile(db, content, 0o600))
				for range 2 {
					said, lines := backup(3), 1
					if what == "damaged" {
						lines = 2 // a line for each user
					}
					if strings.Count(said, db) != lines || strings.Count(said, what) != lines {
						t.Errorf("%s: %q", what, said)
					}
				}
			}
			dir, unmount := mustMount(t, store)
			for _, folder := range []string{"INBOX", "INBOX/Work"} {
				if _, err := os.Stat(filepath.Join(dir, "alice/latest", folder, "cyrus.mailbox_annotations")); err != nil {
					t.Errorf("METADATA was lost: %v", err)
				}
			}
			unmount()
			cyruslab.Must(t, os.WriteFile(db, nil, 0o600))
			backup(0)
			dir, _ = mustMount(t, store)
			if left, err := filepath.Glob(filepath.Join(dir, "alice/latest/INBOX/cyrus.mailbox_annotations")); err != nil || len(left) > 0 {
				t.Errorf("there is none any more: %q, %v", left, err)
			}
		})
	}
}
