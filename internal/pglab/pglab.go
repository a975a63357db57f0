// Package pglab starts PostgreSQL servers for tests: each one's own, in a folder that is gone afterwards, on a socket in it and on no port.
package pglab

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// patience is for what takes a second on a machine with nothing else to do, in seconds.
const patience = "300"

// Lab is one private server.
type Lab struct {
	dir  string
	bin  string // of Debian's, where its programs are
	cred *syscall.Credential
}

// Start brings a server up for one test. Its superuser is postgres, and needs no password.
func Start(t testing.TB) *Lab {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		t.Fatal("no PostgreSQL in /usr/lib/postgresql: scripts/deps.sh test")
	}
	dir, err := os.MkdirTemp("/tmp", "pglab-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l := &Lab{dir: dir, bin: bins[len(bins)-1]}
	if os.Geteuid() == 0 { // as which no PostgreSQL runs
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		l.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	l.must(t, "initdb", "-D", dir+"/data", "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--auth=trust")
	hba := "local all postgres trust\nlocal all all scram-sha-256\n"
	if err := os.WriteFile(dir+"/data/pg_hba.conf", []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	l.MustStart(t)
	t.Cleanup(func() { _ = l.command("pg_ctl", "-D", dir+"/data", "-m", "immediate", "stop").Run() }) // it may be stopped
	return l
}

func (l *Lab) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(l.bin, name), args...)
	cmd.Dir = l.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.cred}
	return cmd
}

func (l *Lab) must(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(l.dir, "out")) // a pipe would be held open by the server
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := l.command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%s: %v\n%s", name, err, bytes.TrimSpace(text))
	}
}

// MustStart brings it up again after MustStop.
func (l *Lab) MustStart(t testing.TB) {
	t.Helper()
	l.must(t, "pg_ctl", "-D", l.dir+"/data", "-w", "-t", patience, "-l", l.dir+"/log", "-o",
		fmt.Sprintf("-c listen_addresses='' -c unix_socket_directories=%s -c fsync=off", l.dir), "start")
}

// MustStop takes it down, with whoever is connected.
func (l *Lab) MustStop(t testing.TB) {
	t.Helper()
	l.must(t, "pg_ctl", "-D", l.dir+"/data", "-w", "-t", patience, "-m", "immediate", "stop")
}

// MustExec executes SQL as its superuser.
func (l *Lab) MustExec(t testing.TB, sql string) {
	t.Helper()
	l.must(t, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", l.DSN("postgres", ""), "-c", sql)
}

// DSN is how a user connects.
func (l *Lab) DSN(name, password string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(name, password), Path: "/postgres", RawQuery: url.Values{"host": {l.dir}}.Encode()}).String()
}
