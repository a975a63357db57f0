package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/internal/tartools"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// TestFrom backs three days up from an agent and from the spool itself: the archives have the same entries, and the agent's shows what IMAP
// said.
func TestFrom(t *testing.T) {
	f, own := testenv.Fixtures(t), testenv.Testdata(t, "spools")
	for name, c := range map[string]struct {
		users []string
		tar   string
		conf  string
		truth string
	}{
		"3.13":       {[]string{"brong", "cassandane"}, f + "/cyrus313/spool/run%d.tar.gz", f + "/cyrus313/spool/imapd.conf", f + "/cyrus313/truth/run%d.json"},
		"three days": {[]string{"alice", "jane.doe", "@shared"}, own + "/day%d.tar.gz", "", own + "/day%d.json"},
	} {
		t.Run(name, func(t *testing.T) {
			root := mustPublicDir(t)
			far, near := filepath.Join(t.TempDir(), "far"), filepath.Join(t.TempDir(), "near")
			var truths []*truth.Truth
			for day := range 3 {
				conf := mustUnpack(t, root, spool{tar: fmt.Sprintf(c.tar, day+1), conf: c.conf})
				time.Sleep(100 * time.Millisecond) // fingerprints count
				addr, _, stop := mustAgent(t, conf, filepath.Join(root, "agent.sock"))
				at := days[day] + "T12:00:00Z"
				mustRun(t, 0, "backupd", "backup", "--store", far, "--from", addr, "--at", at)
				mustRun(t, 0, "backupd", "backup", "--store", near, "--imapd-conf", conf, "--at", at)
				stop(unix.SIGTERM)
				tr, err := truth.Load(fmt.Sprintf(c.truth, day+1))
				if err != nil {
					t.Fatal(err)
				}
				truths = append(truths, tr)
			}
			for _, user := range c.users {
				if got, want := mustEntries(t, far, user), mustEntries(t, near, user); got != want {
					t.Errorf("%s: from the agent\n%s", user, firstDifference(want, got))
				}
			}
			mustHold(t, far, c.users, truths)
		})
	}
}

// mustAgent starts an agent, which ends by a signal, or by SIGTERM when the test does. Of SIGTERM it has to end well.
func mustAgent(t testing.TB, conf, socket string) (addr string, process *os.Process, end func(syscall.Signal)) {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "backupd"), "agent", "--listen", "unix:"+socket, "--imapd-conf", conf)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func(by syscall.Signal) {
		t.Helper()
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(by)
		err := cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil && !(by == unix.SIGKILL && status.Signaled() && status.Signal() == by) {
			t.Errorf("backupd agent: %v\n%s", err, log.String())
		}
	}
	t.Cleanup(func() { end(unix.SIGTERM) })
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			_ = c.Close()
			return "unix:" + socket, cmd.Process, end
		}
	}
	t.Fatalf("backupd agent does not listen\n%s", log.String())
	return "", nil, nil
}

// mustEntries is what a user's archive holds, but for the markers, which say when a run ended.
func mustEntries(t testing.TB, store, user string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(store, "users/*", user, "*.tar.gz"))
	if err != nil || len(paths) != 1 {
		t.Fatal(paths, err)
	}
	entries, err := tartools.Tarfile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for _, e := range entries {
		if e.Name != "meta/snapshot" {
			e.Data = 0
			fmt.Fprintln(&list, e)
		}
	}
	return list.String()
}
