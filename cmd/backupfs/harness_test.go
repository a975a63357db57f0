package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
)

// program is the binary under test, backupd the one that fills its store in some.
var program, backupd string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "backupfs-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program, backupd = filepath.Join(dir, "backupfs"), filepath.Join(dir, "backupd")
	args := []string{"build", "-o", dir}
	if raceDetector {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "backupfs/cmd/backupfs", "backupfs/cmd/backupd")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	code := 1
	// A test runs it as nobody.
	if err := errors.Join(build.Run(), os.Chmod(dir, 0o755)); err == nil {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// fixture is a store that a test fills run by run.
type fixture struct {
	t       *testing.T
	store   *store.Store
	writers map[string]*indextest.Writer
}

func newFixture(t *testing.T) *fixture {
	st, err := store.Init(filepath.Join(indextest.Store(t), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{t, st, map[string]*indextest.Writer{}}
}

func (x *fixture) user(name string) store.User {
	x.t.Helper()
	u, err := x.store.User(name)
	if err != nil {
		x.t.Fatal(err)
	}
	return u
}

// run adds a run as a backup does: first the archive, then the index.
func (x *fixture) run(r indextest.Run) {
	x.t.Helper()
	x.runOnly(r)
	x.catchUp(r.User)
}

// runOnly adds a run to the archive, and leaves the index behind.
func (x *fixture) runOnly(r indextest.Run) {
	x.t.Helper()
	w := x.writers[r.User]
	if w == nil {
		u := x.user(r.User)
		if err := u.Make(); err != nil {
			x.t.Fatal(err)
		}
		w = indextest.NewWriter(x.t, u.Dir)
		x.writers[r.User] = w
	}
	w.Run(r)
	w.Close()
}

func (x *fixture) catchUp(user string) {
	x.t.Helper()
	a, err := archive.Open(x.writers[user].Path())
	if err != nil {
		x.t.Fatal(err)
	}
	defer a.Close()
	ix, err := index.OpenWrite(x.user(user).Index())
	if err != nil {
		x.t.Fatal(err)
	}
	if err := errors.Join(ix.CatchUp(context.Background(), a, nil), ix.Close()); err != nil {
		x.t.Fatal(err)
	}
}

// mounted is a running child.
type mounted struct {
	t     *testing.T
	dir   string
	cache string
	cmd   *exec.Cmd
	log   *buffer
	ended chan error
	done  bool
}

// mount starts the program in front and waits until the mount answers.
func (x *fixture) mount(options string, env ...string) *mounted {
	x.t.Helper()
	m := &mounted{t: x.t, dir: x.t.TempDir(), cache: x.t.TempDir(), log: &buffer{}, ended: make(chan error, 1)}
	m.cmd = exec.Command(program, "-f", "-o", "cachedir="+m.cache, "-o", options, x.store.Root, m.dir)
	m.cmd.Stdout, m.cmd.Stderr, m.cmd.Env = m.log, m.log, append(os.Environ(), env...)
	if err := m.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	go func() { m.ended <- m.cmd.Wait() }()
	x.t.Cleanup(func() { m.end(syscall.SIGTERM) })
	m.wait("the mount answers", func() bool { return isMount(m.dir) })
	return m
}

// patience is for what takes a second at most on a machine with nothing else to do.
const patience = 3 * time.Minute

// wait waits until ok.
func (m *mounted) wait(what string, ok func() bool) {
	m.t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > patience {
			m.t.Fatalf("after %v still not: %s\n%s", patience, what, m.log)
		}
	}
}

// end ends the child by a signal: it must exit with 0 and leave no mount.
func (m *mounted) end(sig syscall.Signal) {
	m.t.Helper()
	if m.done {
		return
	}
	m.done = true
	_ = m.cmd.Process.Signal(sig)
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("the child: %v\n%s", err, m.log)
		}
	case <-time.After(patience):
		_ = m.cmd.Process.Kill()
		m.t.Errorf("the child does not end at %v\n%s", sig, m.log)
	}
	if isMount(m.dir) {
		m.t.Errorf("%s is still mounted", m.dir)
		_ = unix.Unmount(m.dir, unix.MNT_DETACH)
	}
	for _, word := range []string{"DATA RACE", "panic"} {
		if strings.Contains(m.log.String(), word) {
			m.t.Errorf("the child's log:\n%s", m.log)
		}
	}
}

// path of something in the mount.
func (m *mounted) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

// isMount reports whether dir lies on another device than its parent.
func isMount(dir string) bool {
	var a, b unix.Stat_t
	return unix.Stat(dir, &a) == nil && unix.Stat(filepath.Dir(dir), &b) == nil && a.Dev != b.Dev
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// output runs a command that must succeed and say nothing on stderr.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

func mustDay(day string) time.Time {
	d, err := time.Parse("2006-01-02T15:04", day)
	if err != nil {
		panic(err)
	}
	return d
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mustNames lists a directory by getdents, in its order.
func mustNames(t *testing.T, dir string) []string {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return names
}
