package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// TestKilledFrom kills an agent and its client in turn, at random bytes of a first backup or of a later one. No lock is left; a client whose
// agent died goes on with the next one, or fails; the run after that succeeds, and what the store shows is as in TestKilled. The
// environment is as there.
func TestKilledFrom(t *testing.T) {
	x := &tortureFrom{torture: newTorture(t)}
	x.wire = mustWire(t, filepath.Join(x.root, "wire.sock"), filepath.Join(x.root, "agent.sock"))
	for over := x.over(); !over(); {
		day, first := x.rng.IntN(3), x.rng.IntN(3) > 0
		if first {
			x.forget()
		}
		x.killOne(day, first, x.kills%2 == 0)
		x.check()
	}
	t.Logf("agents killed: %d, of whose clients %d went on; clients killed: %d, %d in time; runs: %d; messages and files compared: %d",
		(x.kills+1)/2, x.wentOn, x.kills/2, x.killed, x.runs, x.compared)
}

// tortureFrom backs up through agents.
type tortureFrom struct {
	*torture
	wire   *wire
	bytes  [2]int64      // that came over the wire for a run that was let be, about: a later one, a first one
	took   time.Duration // such a run
	wentOn int
}

// killOne kills the agent or its client when some bytes of a run have come, and makes another run, of the same agent or of the next.
func (x *tortureFrom) killOne(day int, first, agent bool) {
	x.t.Helper()
	root := filepath.Join(x.root, fmt.Sprint("day", day))
	conf := filepath.Join(root, "imapd.conf")
	_, _, end := mustAgent(x.t, conf, x.wire.to)
	args := []string{"backup", "--store", x.store(), "--from", "unix:" + x.wire.Addr().String(), "--json", "alice"}
	client := exec.Command(filepath.Join(programs, "backupd"), args...)
	var said bytes.Buffer
	client.Stdout, client.Stderr = &said, &said
	kind := 0
	if first {
		kind = 1
	}
	reached := x.wire.after(1 + x.rng.Int64N(max(500, x.bytes[kind]))) // hello has fewer
	if err := client.Start(); err != nil {
		x.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- client.Wait() }()
	var err error
	select {
	case err = <-ended: // fewer bytes were needed
		ended <- err
	case <-reached:
		time.Sleep(time.Duration(x.rng.Int64N(int64(x.took/16) + 1))) // what came is dealt with
	}
	x.kills++
	if agent {
		end(unix.SIGKILL)
		x.mustBeFree(root, time.Now())
		_, _, end = mustAgent(x.t, conf, x.wire.to)
		err = <-ended
		switch code := client.ProcessState.ExitCode(); {
		case (code == 0 || code == 3) && strings.Contains(said.String(), `"run":`):
			x.runs++
			x.wentOn++
			kind = 0 // the run that follows is a later one
		case code != 1:
			x.t.Fatalf("a client whose agent was killed: %v\n%s", err, said.String())
		}
	} else {
		_ = client.Process.Kill() // it may have ended
		<-ended
		if !client.ProcessState.Exited() {
			x.killed++
		}
		x.mustBeFree(root, time.Now().Add(time.Minute)) // the agent has to see it first
	}
	before, began := x.wire.came.Load(), time.Now()
	x.mustBackUp(args...)
	x.took = time.Since(began)
	x.bytes[kind] = (x.bytes[kind] + x.wire.came.Load() - before) / 2
	end(unix.SIGTERM)
}

// forget makes the next run a first one.
func (x *tortureFrom) forget() {
	x.t.Helper()
	if err := os.RemoveAll(x.user.Dir); err != nil {
		x.t.Fatal(err)
	}
	clear(x.dates)
}

// mustBeFree fails if some file of a server is locked after a time.
func (x *tortureFrom) mustBeFree(root string, until time.Time) {
	x.t.Helper()
	for {
		locked, err := lockedIn(root)
		if err != nil {
			x.t.Fatal(err)
		}
		if locked == "" {
			return
		}
		if time.Now().After(until) {
			x.t.Fatalf("%s is locked", locked)
		}
		time.Sleep(time.Millisecond)
	}
}

// lockedIn finds a file that somebody has locked.
func lockedIn(root string) (locked string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		l := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if l.Type != unix.F_UNLCK {
			locked = path
			return fs.SkipAll
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) { // a file of the agent's that is gone by now
		return lockedIn(root)
	}
	return locked, err
}

// wire is a network between clients and agents, on which the bytes are counted that come from an agent.
type wire struct {
	net.Listener
	to    string
	came  atomic.Int64
	relay errgroup.Group

	mu      sync.Mutex // guards what follows
	left    int64
	reached chan struct{}
}

// mustWire is there until the test ends.
func mustWire(t *testing.T, socket, to string) *wire {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: ln, to: to, reached: make(chan struct{})}
	w.relay.Go(func() error {
		for {
			c, err := ln.Accept()
			if err != nil {
				return nil // closed
			}
			w.relay.Go(func() error { w.connect(c); return nil })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		_ = w.relay.Wait()
	})
	return w
}

// after is closed when so many more bytes have come.
func (w *wire) after(n int64) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.reached = n, make(chan struct{})
	return w.reached
}

// Write counts what has come.
func (w *wire) Write(p []byte) (int, error) {
	w.came.Add(int64(len(p)))
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.left
	if w.left -= int64(len(p)); before > 0 && w.left <= 0 {
		close(w.reached)
	}
	return len(p), nil
}

// connect connects a client to whatever agent there is.
func (w *wire) connect(client net.Conn) {
	defer client.Close()
	agent, err := net.Dial("unix", w.to)
	if err != nil {
		return
	}
	defer agent.Close()
	w.relay.Go(func() error {
		_, _ = io.Copy(agent, client)
		return agent.(*net.UnixConn).CloseWrite()
	})
	_, _ = io.Copy(io.MultiWriter(client, w), agent)
}
