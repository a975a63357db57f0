package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"backupfs/cmd/internal/cli"
)

// TestProfile: with -o profile=DIR there are profiles at the end that go tool pprof reads; where they cannot be, nothing is mounted.
func TestProfile(t *testing.T) {
	x := newFixture(t)
	for _, r := range days("brong") {
		x.run(r)
	}
	dir := t.TempDir()
	m := x.mount("profile=" + dir)
	output(t, "grep", "-r", "^Subject: message 1\r$", m.path("brong/latest")+"/")
	m.end(syscall.SIGTERM)
	for file, measures := range map[string]string{"cpu.pprof": "cpu/nanoseconds", "heap.pprof": "inuse_space/bytes"} {
		out, err := exec.Command("go", "tool", "pprof", "-raw", filepath.Join(dir, file)).CombinedOutput()
		if err != nil || !strings.Contains(string(out), measures) {
			t.Errorf("%s: %v, %.300s", file, err, out)
		}
	}
	cmd := exec.Command(program, "-f", "-o", "profile="+filepath.Join(dir, "none"), x.store.Root, t.TempDir())
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != cli.Failed || !strings.Contains(string(out), "none/cpu.pprof") {
		t.Errorf("a folder that is not there: %v, %s", err, out)
	}
}
