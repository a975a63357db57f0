package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// agentFolders are those of each user behind the agent, without messages.
const agentFolders = 20

// behind is one row about users behind an agent: how long their runs took, and what both sides needed at most.
type behind struct {
	took           []float64
	client, server needs
}

// needs are those of a process.
type needs struct {
	peak int64   // of its memory, bytes
	cpu  float64 // seconds
}

func (n *needs) add(m needs) { n.peak, n.cpu = max(n.peak, m.peak), max(n.cpu, m.cpu) }

func (n needs) cells() []string {
	return []string{fmt.Sprintf("%.0f", mb(n.peak)), fmt.Sprintf("%.1f", n.cpu)}
}

// agent measures backups of many users from one agent, both on this machine: the first one, and those in which nothing changed.
func (b *bench) agent() error {
	dir := filepath.Join(b.dir, "agent")
	sp, err := haveListedSpool(filepath.Join(dir, "server"), b.behind, agentFolders)
	if err != nil {
		return err
	}
	repo := filepath.Join(dir, "store")
	if err := os.RemoveAll(repo); err != nil {
		return err
	}
	t := table{{fmt.Sprintf("`backup --from`, %d users of %d folders", b.behind, agentFolders), "s", "users/s",
		"client's peak memory MB", "CPU s", "agent's peak memory MB", "CPU s", "at most"}}
	for _, row := range []struct {
		name, goal string
		rounds     int
	}{{"the first, no messages", "", 1}, {"nothing changed", fmt.Sprintf("%.0f s", 60*float64(b.behind)/10000), b.rounds}} {
		var r behind
		for range row.rounds {
			syscall.Sync() // what others wrote is not written now
			if err := b.fromAgent(sp, repo, &r); err != nil {
				return err
			}
		}
		s := median(r.took)
		cells := []string{row.name, fmt.Sprintf("%.1f", s), fmt.Sprintf("%.0f", float64(b.behind)/s)}
		t.row(append(append(append(cells, r.client.cells()...), r.server.cells()...), row.goal)...)
	}
	fmt.Fprint(b.out, t)
	return nil
}

// fromAgent backs all users up from an agent that is started for it.
func (b *bench) fromAgent(sp *spool, repo string, r *behind) (err error) {
	backupd, socket := filepath.Join(b.bin, "backupd"), filepath.Join(b.dir, "agent.sock")
	agent := exec.Command(backupd, "agent", "--listen", "unix:"+socket, "--imapd-conf", sp.conf)
	agent.Env = append(os.Environ(), "PATH="+filepath.Dir(sp.conf)+":"+os.Getenv("PATH")) // of its ctl_mboxlist
	var said bytes.Buffer
	agent.Stderr = &said
	if err := agent.Start(); err != nil {
		return err
	}
	defer func() {
		n := needs{peak: peak(agent.Process.Pid)}
		err = errors.Join(err, agent.Process.Signal(syscall.SIGTERM))
		err = errors.Join(err, failure(agent, agent.Wait(), said.Bytes()))
		n.cpu = cpu(agent)
		r.server.add(n)
	}()
	if err := answers(socket); err != nil {
		return err
	}
	client := exec.Command(backupd, "backup", "-q", "--store", repo, "--from", "unix:"+socket)
	seconds, most, err := withPeak(client)
	if err != nil {
		return err
	}
	r.took = append(r.took, seconds)
	r.client.add(needs{most, cpu(client)})
	return nil
}

// cpu is the seconds of processors that a process had, which has ended.
func cpu(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

// answers waits for an agent, which lists all mailboxes before it does.
func answers(socket string) error {
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_, err = fmt.Fprintln(c, "QUIT")
			if err == nil {
				_, err = io.ReadAll(c)
			}
			err = errors.Join(err, c.Close())
		}
		if err == nil || time.Since(begun) > time.Minute {
			return err
		}
	}
}

// haveListedSpool is one of many folders without messages, with all that a server has by which the agent lists them in no time: a
// ctl_mboxlist, in the same folder as imapd.conf, tells what a server's would.
func haveListedSpool(dir string, users, folders int) (*spool, error) {
	s, err := newSpool(dir, users)
	if err != nil {
		return nil, err
	}
	s.folders = folders
	tool, text := filepath.Join(dir, "ctl_mboxlist"), filepath.Join(dir, fmt.Sprintf("mailboxes-%d", users))
	if _, err := os.Stat(text); err == nil { // written last
		return s, nil
	}
	if err := s.compose(0); err != nil {
		return nil, err
	}
	for _, user := range s.users {
		for _, file := range []string{"sub", "seen"} {
			path := filepath.Join(dir, "conf", "user", user[:1], user+"."+file)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("INBOX\n"), 0o600)); err != nil {
				return nil, err
			}
		}
	}
	var list bytes.Buffer
	err = s.eachBox(func(_, name string) error {
		_, err := fmt.Fprintf(&list, "{%q:{\"mbtype\":\"el\",\"partition\":\"default\",\"uniqueid\":%q}}\n", name, uniqueID(name))
		return err
	})
	return s, errors.Join(err,
		os.WriteFile(filepath.Join(dir, "conf", "mailboxes.db"), nil, 0o600),
		os.WriteFile(tool, fmt.Appendf(nil, "#!/bin/sh\nexec cat %s\n", text), 0o700),
		os.WriteFile(text, list.Bytes(), 0o600))
}
