package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// task is something done to a tree, beside the same done to the spool. In its command the places of "" are taken by the
// users' folders, or by one user's and a folder to copy to.
type task struct {
	name string
	argv []string
	one  bool // one user, copied away
}

var tasks = []task{
	{name: "`find`", argv: []string{"find"}},
	{name: "`find -printf '%s %T@ %p'`", argv: []string{"find"}},
	{name: "`grep -r`", argv: []string{"grep", "-rlF", "no message has these words in it"}},
	{name: "`cp -r` of a user", argv: []string{"cp", "-r"}, one: true},
	{name: "`rsync -a` of a user", argv: []string{"rsync", "-a"}, one: true},
}

// command is the task's on the users' folders.
func (t task) command(dirs []string, to string) []string {
	argv := append([]string{}, t.argv...)
	if t.one {
		return append(argv, dirs[0]+"/", to)
	}
	argv = append(argv, dirs...)
	if t.name != "`find`" && t.argv[0] == "find" {
		argv = append(argv, "-printf", "%s %T@ %p\n")
	}
	return argv
}

// reading measures tasks on a mount beside the spool, cold (nothing in the page cache, a fresh mount) and warm (the same
// once more).
func (b *bench) reading() error {
	mount := filepath.Join(b.dir, "mount")
	if err := os.Mkdir(mount, 0o700); err != nil {
		return err
	}
	var native, mounted []string
	for _, user := range b.spool.users {
		native = append(native, b.spool.userDir(user))
		mounted = append(mounted, filepath.Join(mount, user, "latest", "INBOX"))
	}
	var ready []float64
	var peakMount int64
	fmt.Fprintf(b.out, "| reading | | spool s | mount s | mount beside spool |\n|---|---|---|---|---|\n")
	for _, t := range tasks {
		var ours, theirs [2][]float64 // cold, warm
		for range b.rounds {
			s, err := b.twice(t, native)
			if err != nil {
				return err
			}
			m, err := b.mount(mount)
			if err != nil {
				return err
			}
			ready = append(ready, m.ready)
			o, err := b.twice(t, mounted)
			peakMount = max(peakMount, peak(m.cmd.Process.Pid))
			if err := errors.Join(err, m.unmount()); err != nil {
				return err
			}
			for i := range 2 {
				theirs[i], ours[i] = append(theirs[i], s[i]), append(ours[i], o[i])
			}
		}
		for i, how := range []string{"cold", "warm"} {
			s, o := median(theirs[i]), median(ours[i])
			fmt.Fprintf(b.out, "| %s | %s | %.3f | %.3f | %.2f |\n", t.name, how, s, o, o/s)
		}
	}
	fmt.Fprintf(b.out, "\nA mount answers after %.3f s. Peak memory of backupfs: %.0f MB.\n", median(ready), mb(peakMount))
	return nil
}

// twice runs a task with nothing in the page cache, then once more, and returns what both took.
func (b *bench) twice(t task, dirs []string) (took [2]float64, err error) {
	if err := dropCaches(); err != nil {
		return took, err
	}
	for i := range took {
		to, err := os.MkdirTemp("/dev/shm", "bench-")
		if err != nil {
			return took, err
		}
		took[i], err = timed(t.command(dirs, to)...)
		if err := errors.Join(err, os.RemoveAll(to)); err != nil {
			return took, err
		}
	}
	return took, nil
}

// mounted is a backupfs that answers.
type mounted struct {
	cmd   *exec.Cmd
	point string
	ready float64 // seconds until it answered
	ended chan error
}

// mount starts backupfs in front, so that its memory can be looked at, and waits until it is there.
func (b *bench) mount(point string) (*mounted, error) {
	if err := dropCaches(); err != nil {
		return nil, err
	}
	m := &mounted{cmd: exec.Command(b.backupfs, "-f", b.store(), point), point: point, ended: make(chan error, 1)}
	m.cmd.Stderr = os.Stderr
	var before, now syscall.Stat_t
	if err := syscall.Stat(point, &before); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.ended <- m.cmd.Wait() }()
	for {
		if err := syscall.Stat(point, &now); err == nil && now.Dev != before.Dev {
			m.ready = time.Since(begun).Seconds()
			return m, nil
		}
		select {
		case err := <-m.ended:
			return nil, fmt.Errorf("%s ended before it answered: %w", b.backupfs, err)
		case <-time.After(time.Millisecond):
		}
	}
}

// unmount ends it as a user would.
func (m *mounted) unmount() error {
	out, err := exec.Command("fusermount3", "-u", m.point).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return <-m.ended
}
