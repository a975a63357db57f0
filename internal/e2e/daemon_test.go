package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
)

// logged is a line of the log of backupd serve.
type logged struct {
	Msg                string
	User, Server, Unit string
	Batch              int
	Begun              time.Time
	Took               time.Duration
	Done               bool
}

const turn = "had his turn"

// daemon is one backupd serve, and its log.
type daemon struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *bufio.Reader
	part  string // of a line that is not whole yet
	lines []logged
}

func startServe(t *testing.T, config, log string, args ...string) *daemon {
	t.Helper()
	out, err := os.Create(log)
	cyruslab.Must(t, err)
	defer out.Close()
	in, err := os.Open(log)
	cyruslab.Must(t, err)
	t.Cleanup(func() { _ = in.Close() })
	d := &daemon{t: t, cmd: exec.Command(filepath.Join(programs, "backupd"), append([]string{"serve", "--config", config}, args...)...), log: bufio.NewReader(in)}
	d.cmd.Stderr = out
	cyruslab.Must(t, d.cmd.Start())
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	return d
}

// record returns the whole lines so far.
func (d *daemon) record() []logged {
	d.t.Helper()
	for {
		text, err := d.log.ReadString('\n')
		d.part += text
		if err == io.EOF {
			return d.lines
		}
		cyruslab.Must(d.t, err)
		var l logged
		if err := json.Unmarshal([]byte(d.part), &l); err == nil {
			d.lines = append(d.lines, l)
		}
		d.part = ""
	}
}

// count is how many lines begin so.
func (d *daemon) count(msg string) (n int) {
	d.t.Helper()
	for _, l := range d.record() {
		if strings.HasPrefix(l.Msg, msg) {
			n++
		}
	}
	return n
}

// turns is how many users of a server, or of all, had their turn.
func (d *daemon) turns(server string) (n int) {
	d.t.Helper()
	for _, l := range d.record() {
		if l.Msg == turn && (server == "" || l.Server == server) {
			n++
		}
	}
	return n
}

func (d *daemon) waitFor(what string, is func() bool) {
	d.t.Helper()
	seen, since := 0, time.Now()
	for ; !is(); time.Sleep(10 * time.Millisecond) {
		if n := len(d.record()); n > seen { // it goes on
			seen, since = n, time.Now()
		}
		if time.Since(since) > patience {
			text, _ := os.ReadFile(d.cmd.Stderr.(*os.File).Name())
			d.t.Fatalf("for %v nothing happened: not yet %s; the log ends\n%s", patience, what, text[max(0, len(text)-4000):])
		}
	}
}

// kill ends it as a crash does.
func (d *daemon) kill() {
	d.t.Helper()
	cyruslab.Must(d.t, d.cmd.Process.Kill())
	_ = d.cmd.Wait()
}

// stop ends it as an operator does.
func (d *daemon) stop() {
	d.t.Helper()
	cyruslab.Must(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("after SIGTERM: %v", err)
	}
}
