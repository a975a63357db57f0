// Package chromium drives a headless Chromium for tests, by its DevTools protocol over a pair of pipes: no port, and a browser that ends with
// its test. It serves tests and is in no product.
package chromium

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// patience is reached by a browser that hangs alone: on a machine that is busy it needs a minute to start.
const patience = 5 * time.Minute

// Browser is one process with all its children.
type Browser struct {
	t     testing.TB
	to    *os.File // commands
	group errgroup.Group

	mu      sync.Mutex // guards all below
	last    int
	waiting map[int]chan reply
	pages   map[string]*Page // by session
	ended   error            // why there will be no more replies
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// Start starts a browser, which ends with the test. It finds no other host than this one.
func Start(t testing.TB) *Browser {
	t.Helper()
	commands, to, err := os.Pipe()
	must(t, err)
	from, answers, err := os.Pipe()
	must(t, err)
	profile := t.TempDir()
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
		"--disable-breakpad", "--disable-crash-reporter", "--disable-extensions", "--disable-component-update", "--disable-background-networking", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile, "TMPDIR="+profile)
	cmd.ExtraFiles = []*os.File{commands, answers} // 3 and 4, as the option has it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &said, patience // Wait waits for all who have it: then nobody writes to the profile any more
	must(t, cmd.Start(), commands.Close(), answers.Close())
	b := &Browser{t: t, to: to, waiting: map[int]chan reply{}, pages: map[string]*Page{}}
	b.group.Go(func() error {
		b.read(from)
		return from.Close()
	})
	t.Cleanup(func() {
		_ = to.Close()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the whole group
		_ = cmd.Wait()                                      // it was killed
		if t.Failed() {
			t.Logf("chromium says: %s", said.Bytes())
		}
		if err := b.group.Wait(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// read takes what the browser says until it says no more.
func (b *Browser) read(from io.Reader) {
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.ended = fmt.Errorf("chromium has ended: %w", err)
			for _, to := range b.waiting {
				close(to)
			}
			return
		}
		var m struct {
			reply
			ID        int
			Method    string
			SessionID string
			Params    json.RawMessage
		}
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			continue // nobody waits for what is no message
		}
		b.mu.Lock()
		if to := b.waiting[m.ID]; to != nil {
			delete(b.waiting, m.ID)
			to <- m.reply
		} else if p := b.pages[m.SessionID]; p != nil {
			p.hear(m.Method, m.Params)
		}
		b.mu.Unlock()
	}
}

// call has the browser do something, in a page or, if session is empty, on its own.
func (b *Browser) call(session, method string, params, result any) error {
	b.mu.Lock()
	b.last++
	to := make(chan reply, 1)
	text, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
		SessionID string `json:"sessionId,omitempty"`
	}{b.last, method, params, session})
	if err = errors.Join(err, b.ended); err == nil {
		b.waiting[b.last] = to
		_, err = b.to.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, ok := <-to:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, b.ended)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case result != nil:
			return json.Unmarshal(r.Result, result)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s: chromium does not answer", method)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
