package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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
	used []float64 // of processors
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
	restore := func(args ...string) func() (float64, error) {
		return func() (float64, error) {
			return timed(exec.Command(backupd, append([]string{"restore", "--store", store, "--imapd-conf", l.Conf, "--to", "original", "alice"}, args...)...))
		}
	}
	ways := []liveWay{
		{name: "`rsync -a` of the same files, to a folder", do: func() (float64, error) {
			return timed(exec.Command("rsync", "-a", l.copies+"/", filepath.Join(root, "to")+"/"))
		}},
		{name: "`rsync -a` into the server's folder, and `reconstruct`: no flags", do: func() (float64, error) {
			copied, err := timed(exec.Command("rsync", "-a", "--include=*.", "--exclude=*", l.copies+"/", l.dir+"/"))
			if err != nil {
				return 0, err
			}
			begun := time.Now()
			_, err = l.Tool("reconstruct", l.AdminName("alice", "Work"))
			return copied + time.Since(begun).Seconds(), err
		}},
		{name: "`backupd restore --to original`: all are served, with flags", do: restore()},
		{name: "the same with `--wait`: the server's cache has them, too", do: restore("--wait")},
	}
	for range b.rounds {
		for i := range ways {
			if err := errors.Join(l.empty(), os.RemoveAll(filepath.Join(root, "to"))); err != nil {
				return err
			}
			before := childrenUsed()
			took, err := ways[i].do()
			if err != nil {
				return err
			}
			ways[i].took = append(ways[i].took, took)
			ways[i].used = append(ways[i].used, childrenUsed()-before)
			if err := l.finish(); err != nil {
				return err
			}
		}
	}
	t := table{{fmt.Sprintf("%d messages, into memory", liveMessages), "s", "beside rsync", "beside rsync and reconstruct", "CPU s", "beside rsync", "beside rsync and reconstruct"}}
	for _, w := range ways {
		row := []string{w.name}
		for _, of := range []func(liveWay) []float64{func(w liveWay) []float64 { return w.took }, func(w liveWay) []float64 { return w.used }} {
			s := median(of(w))
			row = append(row, fmt.Sprintf("%.2f", s), fmt.Sprintf("%.2f", s/median(of(ways[0]))), fmt.Sprintf("%.2f", s/median(of(ways[1]))))
		}
		t.row(row...)
	}
	fmt.Fprint(b.out, t)
	return nil
}

// childrenUsed is the processor time of all programs that were waited for, and of theirs, in seconds.
func childrenUsed() float64 {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

// finish waits for what a restore has left to the background, which the next one would wait for.
func (l *live) finish() error {
	conf, err := os.Open(filepath.Join(l.Dir, "conf"))
	if err != nil {
		return err
	}
	defer conf.Close()
	return unix.Flock(int(conf.Fd()), unix.LOCK_EX)
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
