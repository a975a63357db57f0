package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/lock"
)

// TestLocks has each program that writes to a user's folder meet each of the others, and each that reads: it is stopped while it has the user's lock.
// Who would write is refused, with exit code 4, and told who has it; who reads is not disturbed. The one that was stopped ends well after it; one that
// is killed leaves its file, and no lock.
func TestLocks(t *testing.T) {
	x := newTorture(t)
	foreign := filepath.Join(x.root, "foreign", "alice")
	if err := os.MkdirAll(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	path, err := x.user.Archive()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", path, foreign).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	st := x.store()
	writers := [][]string{
		x.backupArgs(1),
		{"verify", "--store", st, "alice"},
		{"reindex", "--store", st, "alice"},
		{"compact", "--store", st, "--keep", "last=100", "alice"},
		{"repair", "--store", st, "--write", "alice"},
		{"import", "--from", filepath.Dir(foreign), "--store", st, "alice"},
	}
	readers := [][]string{
		{"list", "--store", st, "alice"},
		{"find", "--store", st, "alice", "--match", "larger:1"},
		{"diff", "--store", st, "alice", "latest", "latest"},
	}
	mount, _ := mustMount(t, st)
	for _, holder := range writers {
		cmd := x.stopped(holder)
		who := fmt.Sprintf("pid %d (backupd %s on ", cmd.Process.Pid, holder[0])
		for _, other := range writers {
			if o := run(t, "backupd", other...); o.code != 4 || !strings.Contains(o.stderr, "locked by another process, "+who) {
				t.Errorf("%s beside a %s: exit code %d, want 4, and %q:\n%s%s", other[0], holder[0], o.code, who, o.stdout, o.stderr)
			}
		}
		for _, other := range append(readers, []string{"restore", "--store", st, "alice", "--to", "dir:" + filepath.Join(x.root, "restored-by-"+holder[0])}) {
			if o := run(t, "backupd", other...); o.code != 0 {
				t.Errorf("%s beside a %s: exit code %d:\n%s%s", other[0], holder[0], o.code, o.stdout, o.stderr)
			}
		}
		if out, err := exec.Command("grep", "-r", "Subject", filepath.Join(mount, "alice", "latest")+"/").CombinedOutput(); err != nil || len(out) == 0 {
			t.Errorf("grep in a mount beside a %s: %v: %s", holder[0], err, out)
		}
		// Somebody takes the lock's file away: the archive has a lock of its own.
		if writesArchive(holder[0]) {
			if err := os.Remove(x.user.Lock()); err != nil {
				t.Fatal(err)
			}
			if o := run(t, "backupd", x.backupArgs(2)...); o.code != 4 || !strings.Contains(o.stderr, ".tar.gz: locked by another process") {
				t.Errorf("a backup beside a %s whose lock was taken away: exit code %d:\n%s%s", holder[0], o.code, o.stdout, o.stderr)
			}
		}
		if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", holder[0], err, cmd.Stderr)
		}
		cmd = x.stopped(holder)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		mustRun(t, 0, "backupd", "verify", "--store", st, "alice")
	}
	x.backup(2)
	mustRun(t, 0, "backupd", "verify", "--store", st, "alice")
}

// stopped starts a program, and stops it where it has the user's lock, and that of the archive if it writes to it.
func (x *torture) stopped(args []string) *exec.Cmd {
	x.t.Helper()
	archive, err := x.user.Archive()
	if err != nil {
		x.t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < patience; {
		cmd := exec.Command(filepath.Join(programs, "backupd"), args...)
		cmd.Stderr = new(bytes.Buffer)
		if err := cmd.Start(); err != nil {
			x.t.Fatal(err)
		}
		for state(x.t, cmd) != "Z" && !x.holds(cmd, archive, writesArchive(args[0])) {
		}
		_ = cmd.Process.Signal(unix.SIGSTOP)
		for s := ""; s != "Z" && s != "T"; s = state(x.t, cmd) {
		}
		if x.holds(cmd, archive, writesArchive(args[0])) {
			x.t.Cleanup(func() { _ = cmd.Process.Kill() })
			return cmd
		}
		_ = cmd.Process.Signal(unix.SIGCONT) // it was quicker
		_ = cmd.Wait()
	}
	x.t.Fatalf("%s could not be stopped", args[0])
	return nil
}

func writesArchive(verb string) bool { return verb != "verify" && verb != "reindex" }

// holds says that a program has its locks, and has said so.
func (x *torture) holds(cmd *exec.Cmd, archive string, both bool) bool {
	x.t.Helper()
	b, err := os.ReadFile(x.user.Lock())
	if err != nil || !strings.HasPrefix(string(b), fmt.Sprintf("%d backupd ", cmd.Process.Pid)) {
		return false
	}
	for _, path := range []string{x.user.Lock(), archive} {
		if path == archive && !both {
			continue
		}
		if held, err := lock.Held(path); err != nil || !held {
			return false
		}
	}
	return true
}

// state is a process's, as ps shows it: T if it is stopped, Z if it has ended.
func state(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}
