package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// spool is one state of a server's files, and what IMAP said then.
type spool struct{ tar, conf, truth string }

// TestSpools backs up spools that real servers left, in their order, with the server's own tool for the list of mailboxes and
// without it, and compares each date with the truth of that moment.
func TestSpools(t *testing.T) {
	f := testenv.Fixtures(t)
	own := testenv.Testdata(t, "spools")
	cases := map[string]struct {
		users  []string
		states []spool
	}{
		"3.6 default":   {[]string{"alice", "bob"}, []spool{{f + "/cyrus36/default/fixture.tar.gz", "", f + "/cyrus36/default/truth.json"}}},
		"3.6 hashed":    {[]string{"alice", "jane.doe", "0zero"}, []spool{{f + "/cyrus36/altns-hashed/fixture.tar.gz", "", f + "/cyrus36/altns-hashed/truth.json"}}},
		"3.6 partition": {[]string{"alice", "jane.doe"}, []spool{{f + "/cyrus36/multi-partition/fixture.tar.gz", "", f + "/cyrus36/multi-partition/truth.json"}}},
		"3.13": {[]string{"brong", "cassandane"}, []spool{
			{f + "/cyrus313/spool/run1.tar.gz", f + "/cyrus313/spool/imapd.conf", f + "/cyrus313/truth/run1.json"},
			{f + "/cyrus313/spool/run2.tar.gz", f + "/cyrus313/spool/imapd.conf", f + "/cyrus313/truth/run2.json"},
			{f + "/cyrus313/spool/run3.tar.gz", f + "/cyrus313/spool/imapd.conf", f + "/cyrus313/truth/run3.json"},
		}},
		"three days": {[]string{"alice", "jane.doe", "@shared"}, []spool{
			{own + "/day1.tar.gz", "", own + "/day1.json"},
			{own + "/day2.tar.gz", "", own + "/day2.json"},
			{own + "/day3.tar.gz", "", own + "/day3.json"},
		}},
	}
	for name, c := range cases {
		for _, list := range []string{"ctl_mboxlist", "spool"} {
			t.Run(name+" by "+list, func(t *testing.T) {
				root := mustPublicDir(t)
				store := filepath.Join(t.TempDir(), "store")
				var truths []*truth.Truth
				for i, s := range c.states {
					conf := mustUnpack(t, root, s)
					mustRun(t, 0, "backupd", append([]string{"backup", "--store", store, "--imapd-conf", conf, "--mailbox-list", list,
						"--at", days[i] + "T12:00:00Z"}, c.users...)...)
					tr, err := truth.Load(s.truth)
					if err != nil {
						t.Fatal(err)
					}
					truths = append(truths, tr)
				}
				mustHold(t, store, c.users, truths)
			})
		}
	}
}

// mustPublicDir is a folder that user cyrus reaches.
func mustPublicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "backupfs-spool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mustUnpack puts a spool in the place of the one before it, in root, and returns its imapd.conf.
func mustUnpack(t testing.TB, root string, s spool) string {
	t.Helper()
	sh := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(root, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	sh("tar", "-xzf", s.tar, "-C", root)
	from := s.conf
	if from == "" {
		from = filepath.Join(root, "imapd.conf")
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(root, "imapd.conf")
	_ = os.Remove(conf)
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(b), "@ROOT@", root)), 0o644); err != nil {
		t.Fatal(err)
	}
	sh("chown", "-R", "cyrus:mail", root)
	sh("chmod", "-R", "u+rwX", root)
	return conf
}
