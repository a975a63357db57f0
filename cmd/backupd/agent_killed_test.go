package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/internal/cyruslab"
)

// TestKilled: an agent killed at any point while clients fetch leaves no lock to the server, and nothing in the way of the next agent.
func TestKilled(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	lab.MustAddUsers(t, "alice")
	imap := lab.MustLogin(t, "alice")
	for n := range 50 {
		text := fmt.Sprintf("Subject: %d\r\n\r\n%s", n, strings.Repeat("all work and no play\r\n", 100*n))
		cyruslab.Must(t, imap.Append("INBOX", []byte(text), time.Time{}))
	}
	socket := lab.Dir + "/run/agent"
	var request strings.Builder
	fmt.Fprint(&request, "FMETA lab alice INBOX header index\nFMULTISTATUS lab alice\nFDATA lab alice INBOX")
	for uid := range 50 {
		fmt.Fprint(&request, " ", uid+1)
	}
	request.WriteString("\nQUIT\n")
	fetch := func() (whole bool) {
		c, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		defer c.Close()
		if _, err := io.WriteString(c, request.String()); err != nil {
			return false
		}
		b, _ := io.ReadAll(c)
		return bytes.Contains(b, []byte("\nDONE FDATA ")) && bytes.HasSuffix(b, []byte("\nOK\n"))
	}

	random := rand.New(rand.NewPCG(1, 2)) // at points that differ: none of them matters
	ctx, stop := context.WithCancel(t.Context())
	var clients errgroup.Group
	for range 4 {
		clients.Go(func() error {
			for ctx.Err() == nil {
				if !fetch() {
					time.Sleep(time.Millisecond)
				}
			}
			return nil
		})
	}
	for round := range 20 {
		agent := exec.Command("backupd", "agent", "--imapd-conf", lab.Conf, "--listen", "unix:"+socket)
		agent.Stderr = t.Output()
		cyruslab.Must(t, agent.Start())
		eventually(t, "it serves", fetch)
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		cyruslab.Must(t, agent.Process.Kill())
		var exit *exec.ExitError
		if err := agent.Wait(); !errors.As(err, &exit) || exit.Exited() {
			t.Fatalf("round %d: it ended by itself: %v", round, err)
		}
		appended := make(chan error, 1)
		go func() { appended <- imap.Append("INBOX", []byte("Subject: x\r\n\r\n"), time.Time{}) }()
		select {
		case err := <-appended:
			cyruslab.Must(t, err)
		case <-time.After(patience):
			t.Fatalf("round %d: a lock is left: the server waits for it", round)
		}
	}
	stop()
	cyruslab.Must(t, clients.Wait())
	if _, err := os.Stat(socket); err != nil {
		t.Error(err) // what a killed agent leaves, and the next one replaces
	}
}
