package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
)

// mustInstall puts the program where user cyrus can start it.
func mustInstall(t *testing.T) string {
	t.Helper()
	built, err := exec.LookPath("backupd")
	cyruslab.Must(t, err)
	dir, err := os.MkdirTemp("/tmp", "backupfs-agent-")
	cyruslab.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := filepath.Join(dir, "backupd")
	b, err := os.ReadFile(built)
	cyruslab.Must(t, err, os.Chmod(dir, 0o755), os.WriteFile(program, b, 0o755))
	return program
}

// running are the processes of a program, the oldest first.
func running(program string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && exe == program {
			var pid int
			if _, err := fmt.Sscanf(link, "/proc/%d/exe", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}

// patience is for what takes a moment on a machine with nothing else to do.
const patience = 3 * time.Minute

// eventually waits for what takes a moment.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after a long time: %s", what)
		}
	}
}

// converse is a connection on which requests are answered one by one.
type converse struct {
	net.Conn
	in *bufio.Reader
}

func dial(socket string) (*converse, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	return &converse{c, bufio.NewReader(c)}, c.SetDeadline(time.Now().Add(patience))
}

func (c *converse) ping() bool {
	_, err := io.WriteString(c, "PING\n")
	ok, _ := c.in.ReadString('\n')
	done, _ := c.in.ReadString('\n')
	return err == nil && ok == "OK\n" && done == "DONE PING\n"
}

// pinged: somebody serves there.
func pinged(socket string) bool {
	c, err := dial(socket)
	if err != nil {
		return false
	}
	defer c.Close()
	return c.ping()
}

// TestMaster: Cyrus's own master starts the agent, again after it was killed or all is read anew, and ends it.
func TestMaster(t *testing.T) {
	program := mustInstall(t)
	serve := fmt.Sprintf(`agent cmd="%s agent --imapd-conf @DIR@/imapd.conf`, program)
	for name, o := range map[string]cyruslab.Options{
		"SERVICES":       {Services: []string{serve + `" listen="@DIR@/run/agent" prefork=1 babysit=1`}},
		"DAEMON":         {Daemons: []string{serve + ` --listen unix:@DIR@/run/agent"`}},
		"DAEMON, waited": {Daemons: []string{serve + ` --listen unix:@DIR@/run/agent" wait=y`}},
	} {
		t.Run(name, func(t *testing.T) {
			lab := cyruslab.Start(t, o)
			socket := lab.Dir + "/run/agent"
			if name == "DAEMON, waited" && !pinged(socket) {
				t.Error("the server is up, and the agent is not")
			}
			eventually(t, "it serves", func() bool { return pinged(socket) })
			pid := running(program)

			var clients []*converse
			for range 3 {
				c, err := dial(socket)
				cyruslab.Must(t, err)
				clients = append(clients, c)
			}
			for _, c := range clients {
				if !c.ping() {
					t.Error("a client among several is not served")
				}
			}
			if now := running(program); !slices.Equal(now, pid) || len(pid) != 1 {
				t.Errorf("processes: %v, then %v", pid, now)
			}

			for range 3 { // as often as a service may fail without babysit, and more would take long
				old := running(program)
				cyruslab.Must(t, syscall.Kill(old[0], syscall.SIGKILL))
				eventually(t, "another one serves", func() bool { return pinged(socket) && !slices.Equal(running(program), old) })
			}

			lab.MustAddUsers(t, "alice")
			big := "Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 24<<10)
			cyruslab.Must(t, lab.MustLogin(t, "alice").Append("INBOX", []byte(big), time.Time{}))
			busy, err := dial(socket)
			cyruslab.Must(t, err)
			_, err = io.WriteString(busy, "FDATA lab alice INBOX 1\n")
			cyruslab.Must(t, err)
			if line, err := busy.in.ReadString('\n'); line != "OK\n" {
				t.Fatalf("%q, %v", line, err)
			}
			old := running(program)
			cyruslab.Must(t, lab.Reload())
			if name == "SERVICES" {
				eventually(t, "another one serves, while the old one finishes", func() bool { return pinged(socket) && len(running(program)) == 2 })
			}
			answer, err := io.ReadAll(busy)
			if err != nil || !strings.Contains(string(answer), "\nDONE FDATA ") {
				t.Errorf("an answer is cut off by SIGHUP: %d bytes, %v", len(answer), err)
			}
			eventually(t, "the old one has ended", func() bool { return pinged(socket) && !slices.Contains(running(program), old[0]) })

			cyruslab.Must(t, lab.Stop())
			if left := running(program); len(left) > 0 {
				t.Errorf("left when the server has ended: %v", left)
			}
		})
	}
}

// mustHear plays systemd's socket in dir, which everybody may write to. word is the next that is told.
func mustHear(t *testing.T, dir string) (word func() string) {
	t.Helper()
	path := filepath.Join(dir, "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	cyruslab.Must(t, err, os.Chmod(path, 0o777))
	t.Cleanup(func() { _ = told.Close() })
	return func() string {
		t.Helper()
		b := make([]byte, 1000)
		cyruslab.Must(t, told.SetDeadline(time.Now().Add(patience)))
		n, err := told.Read(b)
		cyruslab.Must(t, err)
		return string(b[:n])
	}
}

// TestSystemd plays systemd, which hands a socket over and is told how it goes.
func TestSystemd(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	dir := lab.Dir
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	cyruslab.Must(t, err)
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	cyruslab.Must(t, err)
	defer socket.Close()
	word := mustHear(t, dir) // the agent is user cyrus
	start := func(sockets int, args ...string) *exec.Cmd {
		t.Helper()
		cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec backupd agent --imapd-conf "$@"`, "sh", lab.Conf}, args...)...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("LISTEN_FDS=%d", sockets), "NOTIFY_SOCKET="+dir+"/notify")
		cmd.ExtraFiles = []*os.File{socket, socket}[:sockets]
		cmd.Stderr = t.Output()
		cyruslab.Must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd
	}

	for _, end := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} { // and the socket serves the next
		cmd := start(1)
		if got := word(); got != "READY=1" {
			t.Errorf("told first: %q", got)
		}
		c, err := net.Dial("tcp", ln.Addr().String())
		cyruslab.Must(t, err)
		if !(&converse{c, bufio.NewReader(c)}).ping() {
			t.Error("no answer on the socket")
		}
		cyruslab.Must(t, cmd.Process.Signal(end))
		if got := word(); got != "STOPPING=1" {
			t.Errorf("told last: %q", got)
		}
		cyruslab.Must(t, c.Close(), cmd.Wait())
	}

	for _, cmd := range []*exec.Cmd{start(2), start(1, "--listen", "unix:"+dir+"/own")} {
		if err := cmd.Wait(); err == nil {
			t.Errorf("%v: two sockets are not refused", cmd.Args)
		}
	}
}

// TestUnits: systemd finds nothing wrong with contrib/systemd, nor much that is open; and the commands in it are some.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	socket, err := os.ReadFile("../../contrib/systemd/backupd-agent.socket")
	cyruslab.Must(t, err, os.WriteFile(dir+"/backupd-agent.socket", socket, 0o644))
	for verb, with := range map[string][]string{"agent": {dir + "/backupd-agent.socket"}, "serve": nil} {
		unit := "backupd-" + verb + ".service"
		b, err := os.ReadFile("../../contrib/systemd/" + unit)
		cyruslab.Must(t, err)
		_, line, _ := strings.Cut(string(b), "\nExecStart=")
		line, _, _ = strings.Cut(line, "\n")
		program, args, _ := strings.Cut(line, " ")
		cmd, flags, err := newRoot().Find(strings.Fields(args))
		cyruslab.Must(t, err, cmd.ParseFlags(flags))
		if cmd.Name() != verb {
			t.Errorf("%s starts %s", unit, cmd.CommandPath())
		}
		path := filepath.Join(dir, unit)
		cyruslab.Must(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(b), program, "/bin/true")), 0o644))
		for _, args := range [][]string{
			append([]string{"verify", path}, with...),
			{"security", "--offline=true", "--threshold=20", "--no-pager", path}, // 2.0 of 10: "OK"
		} {
			out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
			if err != nil || args[0] == "verify" && len(out) > 0 {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
	}
}
