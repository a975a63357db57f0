package agent_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/agent"
	"backupfs/internal/cyruslab"
	"backupfs/internal/mtls"
	"backupfs/source"
)

// rough is a plain agent and one with TLS, for a mailbox with a large message. They serve all who come.
type rough struct {
	src            *source.Local
	plain, secure  string
	server, client *tls.Config
}

func mustRough(t *testing.T) *rough {
	t.Helper()
	lab := cyruslab.Start(t, cyruslab.Options{})
	lab.MustAddUsers(t, "alice")
	mustAppend(t, lab.MustLogin(t, "alice"), "INBOX", string(big))
	ca, err := mtls.NewAuthority(t.TempDir())
	must(t, err)
	agentDir, agentErr := ca.Agent("127.0.0.1")
	clientDir, clientErr := ca.Client("backup")
	server, serverErr := mtls.Server(mtls.In(agentDir))
	client, configErr := mtls.Client(mtls.In(clientDir), "127.0.0.1")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, agentErr, clientErr, serverErr, configErr, err)
	src := mustOpen(t, source.LocalOptions{ConfigPath: lab.Conf, MaxPins: 10, DriveBytes: 128 << 10})
	o := agent.Options{MaxConns: 2000}
	return &rough{src: src, plain: mustServe(t, src, o), secure: mustServeOn(t, tls.NewListener(ln, server), src, o), server: server, client: client}
}

// dial connects as one should.
func (r *rough) dial(addr string) (net.Conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if addr == r.secure {
		c = tls.Client(c, r.client)
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

// ask sends a request and says whether all of the answer came.
func (r *rough) ask(addr, verb, words string) error {
	c, err := r.dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s%s\nQUIT\n", verb, words); err != nil {
		return err
	}
	b, err := io.ReadAll(c)
	if err == nil && !(bytes.HasPrefix(b, []byte("OK\n")) && bytes.Contains(b, []byte("DONE "+verb)) && bytes.HasSuffix(b, []byte("\nOK\n"))) {
		err = fmt.Errorf("%s: answered with %d bytes, %.100q", verb, len(b), b)
	}
	return err
}

// during checks that both agents answer all the while.
func (r *rough) during(t *testing.T, what func()) {
	t.Helper()
	stop, asked := make(chan struct{}), 0
	var good errgroup.Group
	good.Go(func() error {
		for ; ; asked++ {
			for _, addr := range []string{r.plain, r.secure} {
				if err := r.ask(addr, "FMETA", " lab alice INBOX header index"); err != nil {
					return err
				}
			}
			select {
			case <-stop:
				return nil
			case <-time.After(5 * time.Millisecond):
			}
		}
	})
	what()
	close(stop)
	if err := good.Wait(); err != nil {
		t.Errorf("a good client among them, after %d answers: %v", asked, err)
	}
}

// TestRubbish: what scanners and mistaken clients send is refused or ignored, and nothing comes of it for the others.
func TestRubbish(t *testing.T) {
	r := mustRough(t)
	random := rand.NewChaCha8([32]byte{5})
	noise := func(n int) []byte {
		b := make([]byte, n)
		_, _ = random.Read(b)
		return b
	}
	program, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	rubbish := [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: imap.example.com\r\n\r\n"), []byte("a LOGIN alice pw\r\n"), []byte("PING"), []byte("FDATA lab alice {99999}\r\n"), {}, {0},
		[]byte(strings.Repeat("\n", 1000)), []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), program[:256<<10],
	}
	for n := range 20 {
		rubbish = append(rubbish, noise(1<<n/4+1))
	}
	r.during(t, func() {
		var bad errgroup.Group
		bad.SetLimit(8)
		for _, sent := range rubbish {
			for _, addr := range []string{r.plain, r.secure} {
				bad.Go(func() error {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						return err
					}
					defer c.Close()
					_ = c.SetDeadline(time.Now().Add(patience))
					_, _ = c.Write(sent) // it may hang up in the midst of it
					_ = c.(*net.TCPConn).CloseWrite()
					b, err := io.ReadAll(c)
					if os.IsTimeout(err) || bytes.Contains(b, []byte("DATA ")) {
						t.Errorf("%.20q: %v, %d bytes: %.100q", sent, err, len(b), b)
					}
					return nil
				})
			}
		}
		bad.Go(func() error { // to the agent without TLS
			c, err := tls.Dial("tcp", r.plain, r.client)
			if err == nil {
				t.Error("TLS without TLS")
				return c.Close()
			}
			return nil
		})
		must(t, bad.Wait())
	})
}

// TestSlow: who sends and reads one byte at a time gets all of the answer; who stops half-way keeps nobody waiting.
func TestSlow(t *testing.T) {
	r := mustRough(t)
	r.during(t, func() {
		for _, addr := range []string{r.plain, r.secure} {
			halfway, err := r.dial(addr)
			must(t, err)
			_, err = io.WriteString(halfway, "FDATA lab al")
			must(t, err)
			silent := mustDial(t, addr) // half-open: it says nothing, for TLS neither
			slow, err := r.dial(addr)
			must(t, err)
			for _, b := range []byte("FMETA lab alice INBOX header\nQUIT\n") {
				_, err := slow.Write([]byte{b})
				must(t, err)
				time.Sleep(time.Millisecond)
			}
			var answer []byte
			for one := make([]byte, 1); ; {
				if _, err := slow.Read(one); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				answer = append(answer, one[0])
			}
			if !bytes.Contains(answer, []byte("\nDONE FMETA ")) {
				t.Errorf("a slow client got %q", answer)
			}
			must(t, slow.Close(), silent.Close(), halfway.Close())
		}
	})
}

// TestStrangers: however many connect and say nothing, who shows a certificate is served, and so many clients as may be; one too many is not.
func TestStrangers(t *testing.T) {
	r := mustRough(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.secure = mustServeOn(t, tls.NewListener(ln, r.server), r.src, agent.Options{MaxConns: 2})
	var silent []*net.TCPConn
	for range 300 {
		silent = append(silent, mustDial(t, r.secure))
	}
	_, err = silent[0].Read(make([]byte, 1)) // closed for another
	if err == nil || os.IsTimeout(err) {
		t.Errorf("the oldest: %v", err)
	}
	ping := func() (net.Conn, error) {
		c, err := r.dial(r.secure)
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, "PING\n"); err != nil {
			return c, err
		}
		_, err = io.ReadFull(c, make([]byte, len("OK\nDONE PING\n")))
		return c, err
	}
	one, err := ping()
	must(t, err)
	_, err = ping()
	must(t, err)
	if _, err := ping(); err == nil || os.IsTimeout(err) {
		t.Errorf("a client too many: %v", err)
	}
	must(t, one.Close())
	for began := time.Now(); ; time.Sleep(time.Millisecond) { // until its place is free
		if _, err := ping(); err == nil {
			break
		} else if time.Since(began) > patience {
			t.Fatal(err)
		}
	}
}

// TestThousand: a thousand clients are served; when they die, also in the midst of an answer, nothing of theirs is left.
func TestThousand(t *testing.T) {
	r := mustRough(t)
	must(t, r.ask(r.secure, "PING", "")) // what is opened once is open
	before := descriptors(t)
	r.during(t, func() {
		var clients []net.Conn
		for n := range 1000 {
			addr := r.plain
			if n%8 == 0 {
				addr = r.secure
			}
			c, err := r.dial(addr)
			must(t, err)
			if n%20 == 0 {
				_, err = io.WriteString(c, "FDATA lab alice INBOX 1\n")
				must(t, err)
				_, err = io.ReadFull(c, make([]byte, 100<<10))
			} else {
				_, err = io.WriteString(c, "PING\n")
				must(t, err)
				_, err = io.ReadFull(c, make([]byte, len("OK\nDONE PING\n")))
			}
			must(t, err)
			clients = append(clients, c)
		}
		for _, c := range clients {
			if secured, ok := c.(*tls.Conn); ok {
				c = secured.NetConn()
			}
			must(t, c.(*net.TCPConn).SetLinger(0), c.Close()) // as when the process is killed
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		after := descriptors(t)
		if after <= before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d files are open, %d were before", after, before)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	return len(fds)
}
