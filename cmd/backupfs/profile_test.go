package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"backupfs/cmd/internal/cli"
)

// TestProfile: with -o profile=DIR there are profiles at the end that go tool pprof reads; where they cannot be, nothing is mounted. Without it
// a signal begins one and another writes it, while the mount goes on.
func TestProfile(t *testing.T) {
	x := newFixture(t)
	for _, r := range days("brong") {
		x.run(r)
	}
	dir := filepath.Join(t.TempDir(), "made")
	m := x.mount("profile=" + dir)
	output(t, "grep", "-r", "^Subject: message 1\r$", m.path("brong/latest")+"/")
	m.end(syscall.SIGTERM)
	checkProfiles(t, dir)
	cmd := exec.Command(program, "-f", "-o", "profile="+filepath.Join(dir, "cpu.pprof/none"), x.store.Root, t.TempDir())
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != cli.Failed || !strings.Contains(string(out), "cpu.pprof") {
		t.Errorf("a folder that cannot be: %v, %s", err, out)
	}

	m = x.mount("ro")
	for n := 1; n <= 2; n++ { // the second takes the first one's place
		m.ask(t, "begun", n)
		output(t, "grep", "-r", "^Subject: message 1\r$", m.path("brong/latest")+"/")
		m.ask(t, "written to "+m.cache, n)
		checkProfiles(t, m.cache)
		if err := os.Remove(filepath.Join(m.cache, "cpu.pprof")); err != nil {
			t.Fatal(err)
		}
	}
}

// ask sends the signal, and waits until the log has said so many times what was done.
func (m *mounted) ask(t *testing.T, did string, times int) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	m.wait("profile: "+did, func() bool { return strings.Count(m.log.String(), "profile: "+did) == times })
}

// checkProfiles: they are whole, and nobody else may read them.
func checkProfiles(t *testing.T, dir string) {
	t.Helper()
	for file, measures := range map[string]string{"cpu.pprof": "cpu/nanoseconds", "heap.pprof": "inuse_space/bytes"} {
		path := filepath.Join(dir, file)
		out, err := exec.Command("go", "tool", "pprof", "-raw", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), measures) {
			t.Errorf("%s: %v, %.300s", file, err, out)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
}
