package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"backupfs/internal/testenv"
)

// TestImport copies stores of Cyrus::Backup into one of ours, with all that they hold, and goes on from there with a backup of the spool
// that their last run was of: it stores no message again.
func TestImport(t *testing.T) {
	for name, user := range map[string]string{"gz": "brong", "tar": "brong", "default-gz": "cassandane", "default-tar": "cassandane"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			from := perlStoreOf(t, name)
			readOnly(t, from)
			store := filepath.Join(t.TempDir(), "store")
			mustRun(t, 0, "backupd", "import", "--from", from, "--store", store)
			dir, unmount := mustMount(t, store)
			mustHoldPerl(t, dir, store, user)
			unmount()

			f := testenv.Fixtures(t) + "/cyrus313"
			conf := mustUnpack(t, mustPublicDir(t), spool{f + "/spool/run3.tar.gz", f + "/spool/imapd.conf", ""})
			out := mustRun(t, 0, "backupd", "backup", "--store", store, "--imapd-conf", conf, "--json", user)
			var run struct {
				Run         int
				NewMessages int `json:"new_messages"`
			}
			if err := json.Unmarshal([]byte(out.stdout), &run); err != nil || run.Run != 4 || run.NewMessages != 0 {
				t.Errorf("the run behind the imported ones: %v\n%s", err, out.stdout)
			}
			// It still begins with what was imported.
			mustRun(t, 0, "backupd", "import", "--from", from, "--store", store)
			mustRun(t, 0, "backupd", "verify", "--store", store)
			dir, _ = mustMount(t, store)
			tr := perlTruth(t, 3)
			for _, r := range mustList(t, store, user)[2:] {
				mustEqual(t, filepath.Join(dir, user, r.Date), tr, user)
			}
			mustEqual(t, filepath.Join(dir, user, "latest"), tr, user)
			mustReadByTar(t, store)
		})
	}
}

// perlStoreOf is perlStore, or for default-tar that of default-gz as it were without gzip.
func perlStoreOf(t *testing.T, name string) (root string) {
	t.Helper()
	if name != "default-tar" {
		return perlStore(t, name)
	}
	root = perlStore(t, "default-gz")
	if out, err := exec.Command("sh", "-c", "cd $0/data/cassandane && gunzip *.gz", root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return root
}

// mustReadByTar: zcat and tar read the archive of the store's one user.
func mustReadByTar(t *testing.T, store string) {
	t.Helper()
	out, err := exec.Command("sh", "-c", "set -e; set -- $0/users/*/*/backupdata-*.tar.gz; [ $# = 1 ]; zcat $1 | tar -tf - >/dev/null", store).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
