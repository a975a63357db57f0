package agent_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"backupfs/agent"
	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// big is more than all buffers between a server and a client who does not read.
var big = []byte("Subject: one\r\n\r\n" + strings.Repeat(strings.Repeat("all work and no play ", 45)+"\r\n", 24<<10))

// mustServer is a live server with the user alice, and an agent for it.
func mustServer(t *testing.T, o cyruslab.Options, max int, opts agent.Options) (lab *cyruslab.Lab, alice *cyruslab.Client, addr string) {
	t.Helper()
	lab = cyruslab.Start(t, o)
	lab.MustAddUsers(t, "alice")
	alice = lab.MustLogin(t, "alice")
	src := mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf, MaxPins: max, LockTimeout: patience})
	return lab, alice, mustServe(t, src, opts)
}

func mustAppend(t *testing.T, c *cyruslab.Client, box string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		must(t, c.Append(box, []byte(text), time.Time{}))
	}
}

// TestStalledClient: who does not read keeps nobody waiting, neither at the server nor here, and gets what was there when he asked.
func TestStalledClient(t *testing.T) {
	_, c, addr := mustServer(t, cyruslab.Options{ImmediateExpunge: true}, 0, agent.Options{Stall: patience})
	mustAppend(t, c, "INBOX", string(big), "Subject: two\r\n\r\n")
	must(t, c.Create("INBOX.Work"))
	stalled := mustDial(t, addr)
	_, err := fmt.Fprint(stalled, "FMETA lab alice INBOX index\nFDATA lab alice INBOX 1 2\nFMETA lab alice INBOX index\n")
	must(t, err)
	in := bufio.NewReader(stalled)
	for line := ""; !strings.HasPrefix(line, "DATA 1 "); {
		line, err = in.ReadString('\n')
		must(t, err)
	}

	// If the server's user had to wait for it, he would wait until it is cut off, which its answer shows.
	_, err = c.Select("INBOX")
	must(t, err, c.Store("1:2", "+FLAGS", `\Flagged`), c.Expunge("1:2"), c.Unselect(), c.Delete("INBOX.Work"))
	mustAppend(t, c, "INBOX", "Subject: three\r\n\r\n")
	if got := mustAskString(t, addr, "PING\n"); got != "OK\nDONE PING\n" {
		t.Errorf("another client: %q", got)
	}
	must(t, stalled.CloseWrite())
	rest, err := io.ReadAll(in)
	must(t, err)
	for _, want := range []string{
		fmt.Sprintf("DONE 1 %x\n", sha1.Sum(big)),
		fmt.Sprintf("DONE 2 %x\n", sha1.Sum([]byte("Subject: two\r\n\r\n"))),
	} {
		if !bytes.Contains(rest, []byte(want)) {
			t.Errorf("%q is not there", want)
		}
	}
}

// TestPinsInRounds: messages come in the order in which they were asked for, however few may be open at a time.
func TestPinsInRounds(t *testing.T) {
	_, c, addr := mustServer(t, cyruslab.Options{}, 2, agent.Options{})
	var texts []string
	for n := range 9 {
		texts = append(texts, fmt.Sprintf("Subject: %d\r\n\r\n", n+1))
	}
	mustAppend(t, c, "INBOX", texts...)
	want := "OK\n"
	for _, word := range strings.Fields("9 1 1 77 5 4 3 x 2 9 8 8 7 6 4294967297 3 1") {
		if len(word) > 1 || word == "x" {
			want += fmt.Sprintf("NO no such file %s\n", word)
			continue
		}
		text := texts[word[0]-'1']
		want += fmt.Sprintf("DATA %s %d MTIME INODE\n%sDONE %s %x\n", word, len(text), text, word, sha1.Sum([]byte(text)))
	}
	got := mustAskString(t, addr, "FDATA lab alice INBOX 9 1 1 77 5 4 3 x 2 9 8 8 7 6 4294967297 3 1\n")
	got = fileAnywhere.ReplaceAllString(got, "$1 MTIME INODE")
	if !strings.HasPrefix(got, want+"DONE FDATA ") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestFolders of a live server: what comes, goes and moves is seen at once, and what is not the user's never.
func TestFolders(t *testing.T) {
	lab, c, addr := mustServer(t, cyruslab.Options{DelayedDelete: true}, 0, agent.Options{})
	lab.MustAddUsers(t, "bob")
	bob := lab.MustLogin(t, "bob")
	must(t, bob.Create("INBOX.Secret"))
	ask := func(request, want string) {
		t.Helper()
		got := mustAskString(t, addr, request)
		if strings.HasSuffix(want, "…") && strings.HasPrefix(got, strings.TrimSuffix(want, "…")) {
			return
		}
		if got != want {
			t.Errorf("%q\ngot  %q\nwant %q", request, got, want)
		}
	}
	ask("USERS lab\n", "OK\nUSER alice\nUSER bob\nDONE USERS\n")
	ask("FMETA lab alice INBOX.Work\n", "NO no such folder user.alice.Work\n")
	must(t, c.Create("INBOX.Work"))
	mustAppend(t, c, "INBOX.Work", "Subject: one\r\n\r\n")
	ask("FMETA lab alice INBOX.Work\n", "OK\nSTAT header …")
	ask("FDATA lab alice INBOX.Work 1\n", "OK\nDATA 1 16 …")
	must(t, c.Rename("INBOX.Work", "INBOX.Play"), c.Create("INBOX.Work"))
	ask("FDATA lab alice INBOX.Play 1\n", "OK\nDATA 1 16 …")
	ask("FDATA lab alice INBOX.Work 1\n", "OK\nNO no such file 1\nDONE FDATA …")
	must(t, c.Delete("INBOX.Play"))
	ask("FDATA lab alice INBOX.Play 1\n", "NO no such folder INBOX.Play\n")

	listed := mustAskString(t, addr, "FMULTISTATUS lab alice\n")
	i := strings.Index(listed, "FOLDER DELETED.user.alice.Play.")
	if i < 0 {
		t.Fatalf("no deleted folder in %q", listed)
	}
	deleted := strings.Fields(listed[i:])[1]
	ask("FDATA lab alice "+deleted+" 1\n", "OK\nDATA 1 16 …")

	for _, request := range []string{"FDATA lab alice user.bob 1\n", "FDATA lab alice user.bob.Secret 1\n", "FDATA lab bob " + deleted + " 1\n", "FDATA lab alice %00 1\n"} {
		name := strings.ReplaceAll(strings.Fields(request)[3], "%00", "")
		ask(request, "NO no such folder "+name+"\n")
	}

	// What is locked or damaged is not said to be gone.
	conf, err := cyrus.LoadConfig(lab.Conf)
	must(t, err)
	src := mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf})
	m, err := src.Find(t.Context(), "user.alice", true)
	must(t, err)
	p, err := conf.Paths(m.Mailbox)
	must(t, err)
	held, err := os.OpenFile(p.Index, os.O_RDWR, 0)
	must(t, err, unix.FcntlFlock(held.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	patient := addr
	addr = mustServe(t, mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf, LockTimeout: 300 * time.Millisecond}), agent.Options{})
	ask("FMETA lab alice INBOX\n", "NO failed user.alice\n")
	ask("FDATA lab alice INBOX 1\n", "NO failed INBOX\n")
	addr = patient
	ask("FMULTISTATUS lab alice\n", listed) // takes no lock
	must(t, held.Close())
	ask("FDATA lab alice INBOX\n", "OK\nDONE FDATA …")
}

// TestLimits: a client too many, a request that does not end, one who says nothing, one who takes nothing.
func TestLimits(t *testing.T) {
	lab, c, addr := mustServer(t, cyruslab.Options{}, 0, agent.Options{MaxConns: 2})
	mustAppend(t, c, "INBOX", string(big))
	limited := func(o agent.Options) string {
		return mustServe(t, mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf}), o)
	}
	closed := func(c net.Conn) string {
		t.Helper()
		b, _ := io.ReadAll(c) // a reset is as good
		return string(b)
	}
	one, other := mustDial(t, addr), mustDial(t, addr)
	if got := closed(mustDial(t, addr)); got != "NO too many connections\n" {
		t.Errorf("a client too many: %q", got)
	}
	must(t, one.Close(), other.Close())
	if got := closed(mustDial(t, limited(agent.Options{Idle: 300 * time.Millisecond}))); got != "" {
		t.Errorf("an idle client: %q", got)
	}
	// That he is cut off is seen by the next one's being let in.
	addr = limited(agent.Options{Stall: 300 * time.Millisecond, MaxConns: 1})
	stalled := mustDial(t, addr)
	_, err := fmt.Fprint(stalled, "FDATA lab alice INBOX 1\n")
	must(t, err)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		next := mustDial(t, addr)
		_, _ = fmt.Fprint(next, "PING\nQUIT\n")
		if closed(next) == "OK\nDONE PING\nOK\n" {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("one who takes nothing is not cut off")
		}
	}
	if got := closed(stalled); !strings.HasPrefix(got, "OK\nDATA 1 ") || len(got) >= len(big) {
		t.Errorf("one who takes nothing got %d bytes of %d", len(got), len(big))
	}
	addr = limited(agent.Options{})
	endless := mustDial(t, addr)
	_, err = endless.Write([]byte("FDATA lab alice " + strings.Repeat("x", 1<<20)))
	if got := closed(endless); got != "" {
		t.Errorf("an endless request: %q, %v", got, err)
	}
	if got := mustAskString(t, addr, "PING\n"); got != "OK\nDONE PING\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// TestStop: who waits is disconnected, who is being answered gets the answer, or as much of it as there is time for.
func TestStop(t *testing.T) {
	for _, end := range []struct {
		grace  time.Duration
		finish bool // without a limit to it
		whole  bool
	}{{grace: patience, whole: true}, {grace: 200 * time.Millisecond}, {grace: time.Millisecond, finish: true, whole: true}} {
		lab := cyruslab.Start(t, cyruslab.Options{})
		lab.MustAddUsers(t, "alice")
		mustAppend(t, lab.MustLogin(t, "alice"), "INBOX", string(big))
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := agent.Options{Grace: end.grace}
		if end.finish {
			ctx, o.Finish = t.Context(), ctx
		}
		var g errgroup.Group
		src := mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf})
		g.Go(func() error { return agent.Serve(ctx, src, ln, o) })
		idle, busy := mustDial(t, ln.Addr().String()), mustDial(t, ln.Addr().String())
		_, err = fmt.Fprint(busy, "FDATA lab alice INBOX 1\nPING\n")
		must(t, err)
		in := bufio.NewReader(busy)
		_, err = in.ReadString('\n')
		must(t, err)
		cancel()
		if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("who waits: %v", err)
		}
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				break
			}
			must(t, c.Close())
			if time.Since(began) > patience {
				t.Fatal("new clients are accepted")
			}
		}
		if !end.whole {
			must(t, g.Wait())
		}
		rest, err := io.ReadAll(in)
		if whole := bytes.Contains(rest, []byte("\nDONE FDATA ")); whole != end.whole {
			t.Errorf("%+v: %d bytes, %v", end, len(rest), err)
		}
		must(t, g.Wait())
	}
}

var fileAnywhere = regexp.MustCompile(`(?m)^(DATA [^ ]+ \d+) \d+ \d+$`)
