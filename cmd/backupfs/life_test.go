package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
)

func TestEnd(t *testing.T) {
	x := newFixture(t)
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05")})
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		m := x.mount("")
		mustNames(t, m.path("brong/latest"))
		m.end(sig)
	}
	t.Run("umount", func(t *testing.T) {
		m := x.mount("")
		output(t, "umount", m.dir)
		m.wait("the child ended", func() bool { return len(m.ended) == 1 })
		m.end(syscall.Signal(0))
	})
	t.Run("in use", func(t *testing.T) {
		m := x.mount("")
		f, err := os.Open(m.path("brong/latest"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m.end(syscall.SIGTERM)
		if !strings.Contains(m.log.String(), "in use") {
			t.Errorf("the log does not say that the mount was in use:\n%s", m.log)
		}
	})
}

// TestBackground: the command returns when the mount answers, holds no pipe of its caller's, and the process that it
// leaves ends with the mount.
func TestBackground(t *testing.T) {
	x := newFixture(t)
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05")})
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	cmd := exec.Command(program, x.store.Root, filepath.Base(dir), "-o", "rw,nosuid,cachedir="+t.TempDir())
	cmd.Dir = filepath.Dir(dir)
	out, err := cmd.CombinedOutput() // waits for the end of the pipe
	if err != nil || len(out) > 0 {
		t.Fatalf("%v, %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "brong/2009-09-28/.meta")); err != nil {
		t.Errorf("the mount does not answer: %v", err)
	}
	pid := mustPid(t, filepath.Base(dir))
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%s/cwd", pid)); err != nil || cwd != "/" {
		t.Errorf("the process lives in %s, %v", cwd, err)
	}
	mustEndWithMount(t, dir, pid)
}

// mustEndWithMount unmounts: that ends the process.
func mustEndWithMount(t *testing.T, dir, pid string) {
	t.Helper()
	output(t, "umount", dir)
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return
		}
		if time.Since(start) > patience {
			t.Fatal("the process does not end with its mount")
		}
	}
}

// mustPid finds the process that serves a mount point, as it was named.
func mustPid(t *testing.T, dir string) string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		b, _ := os.ReadFile(path)
		if bytes.HasPrefix(b, []byte(program+"\x00")) && bytes.Contains(b, []byte("\x00"+dir+"\x00")) {
			return filepath.Base(filepath.Dir(path))
		}
	}
	t.Fatal("no process serves the mount")
	return ""
}

// TestHelper: fstab and mount(8) work, through mount.fuse3.
func TestHelper(t *testing.T) {
	x := newFixture(t)
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05")})
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	cmd := exec.Command("mount", "-t", "fuse."+program, x.store.Root, dir, "-o", "noatime,allow_other,_netdev,cachedir="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v, %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "brong/2009-09-28/.meta")); err != nil {
		t.Errorf("the mount does not answer: %v", err)
	}
	mustEndWithMount(t, dir, mustPid(t, dir))
}

func TestRefused(t *testing.T) {
	x := newFixture(t)
	root := x.store.Root
	temp := t.TempDir()
	full := filepath.Join(temp, "full")
	file := filepath.Join(full, "file")
	empty := filepath.Join(temp, "empty")
	inStore := filepath.Join(root, "mnt")
	link := filepath.Join(temp, "link")
	for _, dir := range []string{full, empty, inStore, filepath.Join(temp, "outer")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(inStore, link); err != nil {
		t.Fatal(err)
	}
	isolated := func(hide string) []string {
		return []string{"unshare", "-m", "sh", "-c", "mount --make-rprivate / && " + hide + ` && exec "$0" "$@"`}
	}
	nobody := []string{"setpriv", "--reuid=65534", "--clear-groups", "--"}
	for name, c := range map[string]struct {
		wrap []string
		args []string
		code int
		says string
		hint string
	}{
		"no arguments":          {args: nil, code: 2, says: "arg", hint: "--help"},
		"three arguments":       {args: []string{root, empty, empty}, code: 2, says: "arg", hint: "--help"},
		"unknown flag":          {args: []string{"--bogus", root, empty}, code: 2, says: "bogus", hint: "--help"},
		"unknown option":        {args: []string{"-o", "bogus", root, empty}, code: 2, says: `"bogus"`, hint: "--help"},
		"bad value":             {args: []string{"-ocache=much", root, empty}, code: 2, says: "cache=much", hint: "cache=8M"},
		"no store":              {args: []string{filepath.Join(temp, "nowhere"), empty}, code: 1, says: "no such file", hint: "backupd backup"},
		"not a store":           {args: []string{full, empty}, code: 1, says: "not a backupfs store", hint: "backupd backup"},
		"no mount point":        {args: []string{root, filepath.Join(temp, "nowhere")}, code: 1, says: "mount point", hint: "mkdir -p"},
		"mount point is a file": {args: []string{root, file}, code: 1, says: "not a folder", hint: "mkdir -p"},
		"mount point not empty": {args: []string{root, full}, code: 1, says: "not empty", hint: "mkdir -p"},
		"mount point in store":  {args: []string{root, inStore}, code: 1, says: "overlap", hint: "mkdir -p"},
		"the same by a link":    {args: []string{root, link}, code: 1, says: "overlap", hint: "mkdir -p"},
		"cachedir in the mount": {args: []string{"-o", "cachedir=" + empty + "/c", root, empty}, code: 1, says: "overlap", hint: "mkdir -p"},
		"no /dev/fuse": {wrap: isolated("mount -t tmpfs none /dev"), args: []string{root, empty}, code: 1,
			says: "/dev/fuse", hint: "modprobe fuse"},
		"no right to /dev/fuse": {wrap: append(isolated("mount -t tmpfs none /dev && mknod -m 600 /dev/fuse c 10 229"), nobody...),
			args: []string{root, empty}, code: 1, says: "/dev/fuse: permission denied", hint: "chmod"},
		"no fusermount3": {wrap: append(isolated("mount --bind /dev/null /bin/fusermount3 && mount --bind /dev/null /bin/fusermount"),
			nobody...), args: []string{root, empty}, code: 1, says: "fusermount3", hint: "apt install fuse3"},
	} {
		for _, front := range []string{"-f", ""} {
			args := append(append(append([]string{}, c.wrap...), program), c.args...)
			if front != "" {
				args = append(args, front)
			}
			cmd := exec.Command(args[0], args[1:]...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			said := stderr.String()
			lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
			if cmd.ProcessState.ExitCode() != c.code || len(lines) != 2 || !strings.HasPrefix(lines[0], "backupfs: ") || !strings.Contains(lines[0], c.says) ||
				!strings.HasPrefix(lines[1], "hint: ") || !strings.Contains(lines[1], c.hint) {
				t.Errorf("%s %s: exit code %d, want %d, %q and a hint %q:\n%s", name, front, cmd.ProcessState.ExitCode(), c.code, c.says, c.hint, said)
			}
			for _, dir := range []string{empty, full, inStore} {
				if isMount(dir) {
					t.Errorf("%s: %s is mounted", name, dir)
					_ = unix.Unmount(dir, unix.MNT_DETACH)
				}
			}
		}
	}
	// A store inside the mount point: it hides the store, and is not empty at that.
	out, err := exec.Command(program, root, filepath.Dir(root)).CombinedOutput()
	if err == nil {
		t.Errorf("mounted over the store: %s", out)
	}
}

// TestDeadMount: a mount whose program was killed is named, with what helps.
func TestDeadMount(t *testing.T) {
	x := newFixture(t)
	m := x.mount("")
	_ = m.cmd.Process.Kill()
	<-m.ended
	m.done = true
	defer unix.Unmount(m.dir, unix.MNT_DETACH)
	out, err := exec.Command(program, x.store.Root, m.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "dead") || !strings.Contains(string(out), "hint: fusermount3 -u "+m.dir) {
		t.Errorf("%v, %s", err, out)
	}
}

func TestHelp(t *testing.T) {
	out := output(t, program, "--help")
	for _, word := range []string{"STORE MOUNTPOINT", "cache=", "cachedir=", "tz=", "uid=", "gid=", "umask=", "expunged", "allow_other", "Exit codes", "backupfs /srv/backup /mnt/backup"} {
		if !strings.Contains(out, word) {
			t.Errorf("help lacks %q:\n%s", word, out)
		}
	}
	if out := output(t, program, "--version"); !strings.HasPrefix(out, "backupfs") {
		t.Errorf("version: %q", out)
	}
}
