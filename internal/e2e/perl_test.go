package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"backupfs/internal/store"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// TestPerlArchives mounts archives that Cyrus's own Cyrus::Backup wrote, and compares the runs which are inferred with what IMAP
// said before each.
func TestPerlArchives(t *testing.T) {
	fixtures := testenv.Fixtures(t)
	for _, kind := range []string{"gz", "tar"} {
		t.Run(kind, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "store")
			st, err := store.Init(root)
			if err != nil {
				t.Fatal(err)
			}
			user, err := st.User("brong")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(user.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(fixtures, "cyrus313/archives", kind, "data/brong/backupdata-*"))
			if err != nil || len(names) != 1 {
				t.Fatal(names, err)
			}
			b, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(user.Dir, filepath.Base(names[0])), b, 0o600); err != nil {
				t.Fatal(err)
			}
			dir, _ := mustMount(t, root) // there is no index: the mount makes its own
			mustRun(t, 0, "backupd", "reindex", "--store", root, "brong")
			runs := mustList(t, root, "brong")
			if len(runs) != 3 {
				t.Fatalf("%d runs, want 3", len(runs))
			}
			for i, r := range runs {
				if !r.Inferred {
					t.Errorf("run %d is not called inferred", r.Run)
				}
				tr, err := truth.Load(fmt.Sprintf("%s/cyrus313/truth/run%d.json", fixtures, i+1))
				if err != nil {
					t.Fatal(err)
				}
				mustEqual(t, filepath.Join(dir, "brong", r.Date), tr, "brong")
			}
		})
	}
}
