package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"backupfs/internal/compose"
	"backupfs/internal/cyruslab"
)

// liveMessages are brought back into a folder of a running server.
const liveMessages = 10_000

// live is that server, in memory, and the folder.
type live struct {
	*cyruslab.Lab
	dir    string // of the folder
	copies string // its messages, and what is copied of them
}

// liveWay is a way to bring them back, and what it took each time.
type liveWay struct {
	name string
	do   func() (float64, error)
	took []float64
}

// restore measures bringing all messages of a folder back, beside what rsync takes for the same files, which it leaves to others to make known
// to the server.
func (b *bench) restore() (err error) {
	root, err := os.MkdirTemp("/dev/shm", "bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := os.Chmod(root, 0o755); err != nil { // user cyrus looks into it
		return err
	}
	lab, err := cyruslab.New(filepath.Join(root, "lab"), cyruslab.Options{ImmediateExpunge: true})
	if err != nil {
		return err
	}
	if err := lab.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	l := &live{Lab: lab, copies: filepath.Join(root, "copies")}
	if err := l.fill(); err != nil {
		return err
	}
	store := filepath.Join(root, "store")
	backupd := filepath.Join(b.bin, "backupd")
	if _, err := timed(exec.Command(backupd, "backup", "-q", "--store", store, "--imapd-conf", l.Conf)); err != nil {
		return err
	}
	way := func(name string, do func() (float64, error)) *liveWay { return &liveWay{name: name, do: do} }
	served := way("of which until all its messages are served", nil)
	ways := []*liveWay{
		way("`rsync -a` of the same files, to a folder", func() (float64, error) {
			return timed(exec.Command("rsync", "-a", l.copies+"/", filepath.Join(root, "to")+"/"))
		}),
		way("`rsync -a` into the server's folder, and `reconstruct`: no flags", func() (float64, error) {
			copied, err := timed(exec.Command("rsync", "-a", "--include=*.", "--exclude=*", l.copies+"/", l.dir+"/"))
			if err != nil {
				return 0, err
			}
			begun := time.Now()
			_, err = l.Tool("reconstruct", l.AdminName("alice", "Work"))
			return copied + time.Since(begun).Seconds(), err
		}),
		way("`backupd restore --to original`, and the server's `reconstruct` behind it", func() (float64, error) {
			cmd := exec.Command(backupd, "restore", "--json", "--store", store, "--imapd-conf", l.Conf, "--to", "original", "alice")
			begun := time.Now()
			out, err := cmd.Output()
			took := time.Since(begun).Seconds()
			var said struct {
				Finishing float64 `json:"finish_seconds"`
			}
			if err == nil {
				err = json.Unmarshal(out, &said)
			}
			served.took = append(served.took, took-said.Finishing)
			return took, err
		}),
	}
	for range b.rounds {
		for i := range ways {
			if err := errors.Join(l.empty(), os.RemoveAll(filepath.Join(root, "to"))); err != nil {
				return err
			}
			took, err := ways[i].do()
			if err != nil {
				return err
			}
			ways[i].took = append(ways[i].took, took)
		}
	}
	t := table{{fmt.Sprintf("%d messages, into memory", liveMessages), "s", "beside rsync", "beside rsync and reconstruct"}}
	for _, w := range append(ways, served) {
		s := median(w.took)
		t.row(w.name, fmt.Sprintf("%.2f", s), fmt.Sprintf("%.2f", s/median(ways[0].took)), fmt.Sprintf("%.2f", s/median(ways[1].took)))
	}
	fmt.Fprint(b.out, t)
	return nil
}

// fill makes the user and the folder, and gives it messages as one that was copied there.
func (l *live) fill() error {
	if err := l.AddUsers("alice"); err != nil {
		return err
	}
	c, err := l.Login("alice")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Create("INBOX.Work"); err != nil {
		return err
	}
	out, err := l.Tool("mbpath", l.AdminName("alice", "Work"))
	if err != nil {
		return err
	}
	l.dir = strings.TrimSpace(string(out))
	if err := os.Mkdir(l.copies, 0o755); err != nil {
		return err
	}
	mail := compose.New(3)
	date := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for n := range liveMessages {
		path := filepath.Join(l.copies, fmt.Sprint(n+1, "."))
		date = date.Add(time.Minute)
		if err := errors.Join(os.WriteFile(path, mail.Message(mail.Size(), date), 0o600), os.Chtimes(path, date, date)); err != nil {
			return err
		}
	}
	if _, err := timed(exec.Command("chown", "-R", "--reference="+l.dir, l.copies)); err != nil {
		return err
	}
	if _, err := timed(exec.Command("rsync", "-a", l.copies+"/", l.dir+"/")); err != nil {
		return err
	}
	_, err = l.Tool("reconstruct", l.AdminName("alice", "Work"))
	return err
}

// empty expunges all messages. Their UIDs are used, so that rsync's files get others.
func (l *live) empty() error {
	c, err := l.Login("alice")
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := c.Select("INBOX.Work")
	if err != nil || n == 0 {
		return err
	}
	if err := c.Expunge("1:*"); err != nil {
		return err
	}
	return c.Unselect()
}
