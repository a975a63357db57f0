// Package e2e tests the built programs against real parts: a live Cyrus, the kernel's FUSE, spools of other servers.
package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/internal/truth"
)

// programs holds the binaries under test, built once.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "backupfs-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	build := exec.Command("go", "build", "-o", dir, "backupfs/cmd/...")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// patience is for what takes a second on a machine with nothing else to do.
const patience = 3 * time.Minute

// output of a program that ran.
type output struct {
	stdout, stderr string
	code           int
}

func run(t testing.TB, name string, args ...string) output {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mustRun runs a program that has to exit with code.
func mustRun(t testing.TB, code int, name string, args ...string) output {
	t.Helper()
	o := run(t, name, args...)
	if o.code != code {
		t.Fatalf("%s %s: exit code %d, want %d\n%s%s", name, strings.Join(args, " "), o.code, code, o.stdout, o.stderr)
	}
	return o
}

// mustMount mounts a store until the test ends, or unmount is called.
func mustMount(t testing.TB, store string, args ...string) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	cache := t.TempDir()
	cmd := exec.Command(filepath.Join(programs, "backupfs"), append([]string{"-f", "-o", "cachedir=" + cache, store, dir}, args...)...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	done := false
	unmount = func() {
		if done {
			return
		}
		done = true
		_ = cmd.Process.Signal(unix.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("backupfs: %v\n%s", err, log.String())
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("backupfs does not end at SIGTERM\n%s", log.String())
		}
		if isMount(dir) {
			t.Errorf("%s is still mounted", dir)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	for began := time.Now(); time.Since(began) < patience; {
		if isMount(dir) {
			return dir, unmount
		}
		select {
		case err := <-ended:
			done = true
			t.Fatalf("backupfs: %v\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s is not mounted after %v\n%s", dir, patience, log.String())
	return "", nil
}

// isMount reports whether dir lies on another device than its parent.
func isMount(dir string) bool {
	var a, b unix.Stat_t
	if unix.Stat(dir, &a) != nil || unix.Stat(filepath.Dir(dir), &b) != nil {
		return false
	}
	return a.Dev != b.Dev
}

// listedRun is a run as `backupd list --json` prints it.
type listedRun struct {
	Run      int
	Begun    time.Time
	Date     string
	Folders  int
	Messages int
	Inferred bool
}

func mustList(t testing.TB, store, user string) []listedRun {
	t.Helper()
	o := mustRun(t, 0, "backupd", "list", "--store", store, "--json", user)
	var v struct{ Runs []listedRun }
	if err := json.Unmarshal([]byte(o.stdout), &v); err != nil {
		t.Fatalf("backupd list --json: %v\n%s", err, o.stdout)
	}
	return v.Runs
}

// mustEqual compares a date of the mount with what IMAP said.
func mustEqual(t testing.TB, dateDir string, tr *truth.Truth, user string) {
	t.Helper()
	mustBe(t, dateDir, user, tr, truth.Compare)
}

// mustEqualFlags does so in a mount with -o flags, and with a copy that rsync makes of it with the extended attributes.
func mustEqualFlags(t testing.TB, dateDir string, tr *truth.Truth, user string) {
	t.Helper()
	mustBe(t, dateDir, user, tr, truth.CompareFlags)
	copied := filepath.Join(t.TempDir(), filepath.Base(dateDir))
	if out, err := exec.Command("rsync", "-aX", dateDir+"/", copied).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("rsync: %v\n%s", err, out)
	}
	mustBe(t, copied, user, tr, truth.CompareFlags)
}

func mustBe(t testing.TB, dateDir, user string, tr *truth.Truth, compare func(string, *truth.Truth, string) ([]string, truth.Stats, error)) {
	t.Helper()
	differences, stats, err := compare(dateDir, tr, user)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range differences {
		if i == 10 {
			t.Errorf("… and %d more", len(differences)-i)
			break
		}
		t.Error(d)
	}
	t.Logf("%s of %s: %+v", filepath.Base(dateDir), user, stats)
}

// mustTree is all that a dated tree tells: paths, types, modes, sizes, times, contents.
func mustTree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if rel == "." {
			return nil // its mtime is the mount's
		}
		fmt.Fprintf(&b, "%s %s %d %d ", rel, info.Mode(), info.Size(), info.ModTime().Unix())
		switch {
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			sum := sha256.New()
			_, err = io.Copy(sum, f)
			_ = f.Close()
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%x", sum.Sum(nil))
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			b.WriteString("-> " + target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
