package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
	"backupfs/schedule"
)

// printed is a call that prints what somebody outside chose.
type printed struct {
	args string   // {} is the stage's folder, {user} a user whose name is not to be printed as it is
	must []string // stand in what is printed: what was chosen is told, in its harmless form
}

const (
	text   = `\x1b[31m`   // what indextest.Nasty[0] becomes
	asJSON = `\u001b[31m` // in JSON
)

// terminal has for each command how it is brought to print names, values and errors that are not its own.
var terminal = []struct {
	command string
	calls   []printed
}{
	{"backupd", []printed{{"{user}", []string{text}}}},
	{"backupd backup", []printed{
		{"backup --store {}/new --imapd-conf {}/imap/imapd.conf --mailbox-list spool", []string{text, `\u009b`, `\x9b31m`, `\a`, `\r`, `\b`, `\x7f`, `\nforged`, `\u202e`, `\u200b`}},
		{"backup --store {}/new2 --imapd-conf {}/imap/imapd.conf --mailbox-list spool --json", []string{asJSON, `\u009b`, `\u007f`, `\u202e`}},
		{"backup --store {}/new3 --from unix:{}/agent.sock {user}", []string{text}},
		{"backup --store {}/new3 --from unix:{}/agent.sock", []string{text}},
		{"backup --store {}/lost --imapd-conf {}/imap/imapd.conf --mailbox-list spool {user}", []string{text}},
	}},
	{"backupd serve", []printed{{"serve --once --config {}/backupd.toml", []string{text, `\x7f`}}, {"serve --once --config {}/json.toml", []string{asJSON, `\u007f`}}}},
	{"backupd status", []printed{{"status --store {}/store", []string{text, `\x7f`, `\u202e`}}, {"status --json --store {}/store", []string{asJSON, `\u009b`, `\u007f`}}}},
	{"backupd check-config", []printed{{"check-config {}/wrong.toml", []string{`[31m`}}, {"check-config {}/backupd.toml", []string{text}}, {"check-config {}/raw.toml", nil}}},
	{"backupd list", []printed{
		{"list --store {}/store", []string{text, `\u009b`, `\x9b31m`, `\a`, `\r`, `\b`, `\x7f`, `\nforged`, `\u202e`, `\u200b`}},
		{"list --store {}/store --json", []string{asJSON, `\u009b`, `\u007f`, `\u202e`}},
		{"list --store {}/store {user}", nil}, {"list --store {}/store --json {user}", []string{asJSON}},
		{"list --store {}/lost", []string{text}}, {"list --store {}/lost --json", []string{asJSON}}, {"list --store {}/lost {user}", []string{text}},
		{"list --store {}/store nobody-{user}", []string{text}},
	}},
	{"backupd find", []printed{{"find --store {}/store {user} --match subject:nasty", []string{text}}, {"find --store {}/store {user} --match subject:nasty --json", []string{asJSON}},
		{"find --store {}/broken {user} --match subject:nasty", []string{text}}, {"find --store {}/store {user} --match {user}:", []string{text}}}},
	{"backupd diff", []printed{{"diff --store {}/store {user} 2009-09-28 2009-09-29", []string{text, `\x7f`}}, {"diff --store {}/store {user} 2009-09-28 2009-09-29 --json", []string{asJSON}},
		{"diff --store {}/store {user} {user} latest", []string{text}}}},
	{"backupd versions", []printed{{"versions --store {}/store {user} INBOX 1", []string{text, `\x7f`}}, {"versions --store {}/store {user} INBOX 1 --json", []string{asJSON, `\u007f`}},
		{"versions --store {}/store {user} INBOX/{user} 1", []string{text}}}},
	{"backupd verify", []printed{{"verify --store {}/store", []string{text, `\u009b`, `\x7f`}}, {"verify --store {}/broken", []string{text}}, {"verify --store {}/broken --json", []string{asJSON}},
		{"verify --store {}/lost", []string{text}}}},
	{"backupd repair", []printed{{"repair --store {}/broken {user}", []string{text}}, {"repair --store {}/broken --write {user}", []string{text}}}},
	{"backupd reindex", []printed{{"reindex --store {}/store", []string{text}}, {"reindex --store {}/lost", []string{text}}}},
	{"backupd compact", []printed{{"compact --store {}/store --keep daily=1 --dry-run", []string{text}}, {"compact --store {}/store --keep daily=1 --dry-run --json", []string{asJSON}},
		{"compact --store {}/store --keep daily=1", []string{text}}}},
	{"backupd finish", []printed{{"finish --imapd-conf {}/imap/imapd.conf {user}", nil}, {"finish --imapd-conf {}/imap/imapd.conf {user} {user}", nil}}},
	{"backupd restore", []printed{
		{"restore --store {}/store {user} --to dir:{}/dir --dry-run", []string{text}}, {"restore --store {}/store {user} --to dir:{}/dir --dry-run --json", []string{asJSON}},
		{"restore --store {}/store {user} --to dir:{}/dir", []string{text}}, {"restore --store {}/store {user} --to mbox:{}/mbox", []string{text}},
		{"restore --store {}/store {user} --to maildir:{}/maildir", []string{text}}, {"restore --store {}/broken2 {user} --to dir:{}/dir2", []string{text}},
		{"restore --store {}/broken2 {user} --to dir:{}/dir3 --json", []string{asJSON}},
		{"restore --store {}/store {user} --to original --imapd-conf {}/imap/imapd.conf", []string{text}},
		{"restore --store {}/store {user} --to original --imap imap://localhost:{port} --password-file {}/password", []string{text}},
	}},
	{"backupd import", []printed{{"import --from {}/perl --store {}/imported --dry-run", []string{text, `\x7f`}}, {"import --from {}/perl --store {}/imported", []string{text, `\u202e`}},
		{"import --from {}/perl --store {}/imported --json", []string{asJSON, `\u009b`}}}},
	{"backupd dump", []printed{
		{"dump {}/nasty.tar.gz", []string{text, `\u009b`, `\x7f`, `\nforged`}}, {"dump --json {}/nasty.tar.gz", []string{asJSON, `\u009b`, `\u007f`}},
		{"dump {}/nasty/cyrus.index", []string{text, `\u202e`}}, {"dump --json {}/nasty/cyrus.index", []string{asJSON, `\u202e`}},
		{"dump {}/nasty/cyrus.header", []string{text, `\u009b`}}, {"dump --json {}/nasty/cyrus.header", []string{asJSON, `\u009b`}},
		{"dump {}/nasty/cyrus.backupfs", nil}, {"dump --json {}/nasty/cyrus.backupfs", []string{asJSON}}, {"dump {}/{user}", []string{text}},
	}},
	{"backupd agent", []printed{{"agent --listen unix:{}/served.sock --imapd-conf {}/imap/imapd.conf", []string{text}}}},
	{"backupd agent keygen", []printed{{"agent keygen --tls {}/tls {user}", nil}}},
	// What these print is their own, but for what they were called with.
	{"backupd gendoc", nil},
	{"backupd help", []printed{{"help {user}", nil}}},
	{"backupd completion", []printed{{"completion {user}", nil}, {"__complete list {user}", nil}}},
	{"backupd completion bash", []printed{{"completion bash {user}", nil}}},
	{"backupd completion fish", nil},
	{"backupd completion zsh", nil},
	{"backupd completion powershell", nil},
}

// TestTerminal: whatever a name, a value or an error holds that somebody outside chose, no command prints what a terminal obeys, into a pipe or onto
// a terminal, where the progress is besides; and JSON is JSON.
func TestTerminal(t *testing.T) {
	root := newRoot()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("")
	told := map[string]bool{}
	for _, c := range terminal {
		told[c.command] = true
		if cmd, _, err := root.Find(strings.Fields(c.command)[1:]); err != nil || cmd.CommandPath() != c.command {
			t.Errorf("there is no %s", c.command)
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !told[cmd.CommandPath()] {
			t.Errorf("%s: it is not said what of others it prints", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for _, tty := range []bool{false, true} {
		s := newStage(t)
		for _, c := range terminal {
			for _, call := range c.calls {
				s.check(t, call, tty)
			}
		}
	}
}

func (s *stage) check(t *testing.T, c printed, tty bool) {
	var args []string
	for _, word := range strings.Fields(c.args) {
		args = append(args, strings.NewReplacer("{}", s.dir, "{user}", s.user, "{port}", s.port).Replace(word))
	}
	cmd := exec.Command("backupd", args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+s.dir+"/cache")
	cmd.Dir = s.dir
	out := s.run(t, cmd, tty)
	// What the program itself moves the cursor with, where it shows how far it is.
	plain := bytes.ReplaceAll(out, []byte("\r\x1b[K"), []byte("\n"))
	if !tty && len(plain) != len(out) {
		t.Errorf("%s: progress in a pipe", c.args)
	}
	if strings.Contains(c.args, "completion bash") {
		plain = bytes.ReplaceAll(plain, []byte("\t"), nil)
	}
	if err := indextest.Obeyed(plain); err != nil {
		t.Errorf("%s (terminal: %v): %v", c.args, tty, err)
	}
	for _, want := range c.must {
		if !bytes.Contains(plain, []byte(want)) {
			t.Errorf("%s (terminal: %v): no %s in\n%s", c.args, tty, want, plain)
		}
	}
	for line := range bytes.Lines(plain) {
		if !tty && strings.Contains(c.args, "--json") && line[0] == '{' && !json.Valid(line) {
			t.Errorf("%s: no JSON: %s", c.args, line)
		}
	}
}

// run returns what a command prints. An agent is asked something, and ended.
func (s *stage) run(t *testing.T, cmd *exec.Cmd, tty bool) []byte {
	var out bytes.Buffer
	ended := make(chan struct{})
	if tty {
		master, slave := mustTerminal(t)
		cmd.Stdout, cmd.Stderr = slave, slave
		s.Check(cmd.Start())
		s.Check(slave.Close())
		go func() {
			_, _ = io.Copy(&out, master) // until it is hung up
			_ = master.Close()
			close(ended)
		}()
	} else {
		cmd.Stdout, cmd.Stderr = &out, &out
		s.Check(cmd.Start())
		close(ended)
	}
	if cmd.Args[1] == "agent" && cmd.Args[2] == "--listen" {
		s.disturb(s.dir + "/served.sock")
		s.Check(cmd.Process.Signal(unix.SIGTERM))
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 1 || exit.ExitCode() > 5) {
		t.Errorf("%q: %v", cmd.Args, err)
	}
	<-ended
	return out.Bytes()
}

// mustTerminal makes a terminal that changes nothing of what it is given.
func mustTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	n := 0
	var mode *unix.Termios
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err == nil {
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		mode, err = unix.IoctlGetTermios(fd, unix.TCGETS)
	}
	if err == nil {
		mode.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(fd, unix.TCSETS, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// TestTerminalHTTP: nor does what is asked for by HTTP and shown by curl.
func TestTerminalHTTP(t *testing.T) {
	now := time.Now()
	r := schedule.Report{At: now, Scrub: &schedule.ScrubReport{}}
	for _, name := range indextest.Nasty {
		r.Units = append(r.Units, schedule.UnitReport{Server: name, Unit: name, Users: 1, Oldest: &now, Newest: &now})
		r.Troubles = append(r.Troubles, schedule.Trouble{What: name, Since: now, Reason: name})
		r.Stores = append(r.Stores, schedule.Space{Store: name, Size: 2, Free: 1})
	}
	report := func(context.Context) (schedule.Report, error) { return r, nil }
	w := httptest.NewRecorder()
	newMetrics().handler(report).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	_, told := health(r, nil)
	for what, answer := range map[string]string{"metrics": w.Body.String(), "health": told} {
		if err := indextest.Obeyed([]byte(answer)); err != nil || !strings.Contains(answer, "31m") {
			t.Errorf("%s: %v\n%s", what, err, answer)
		}
	}
}
