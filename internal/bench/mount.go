package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// mounted is a system's backup that answers.
type mounted struct {
	cmd   *exec.Cmd
	point string
	ready float64 // seconds until it answered
	ended chan error
	said  bytes.Buffer
}

func (b *bench) mountPoint(s *system) string { return filepath.Join(b.dir, "mount", s.name) }

// mount starts a system's mount of what lies in repo and waits until it is there. The spool needs none.
func (b *bench) mount(s *system, repo string) (*mounted, error) {
	m := &mounted{point: b.mountPoint(s), ended: make(chan error, 1)}
	if s.mount == "" {
		return m, nil
	}
	if err := os.MkdirAll(m.point, 0o700); err != nil {
		return nil, err
	}
	m.cmd = b.shell(s.mount, s, repo, b.spool, 1)
	m.cmd.Stdout, m.cmd.Stderr = &m.said, &m.said
	if s.name == "backupfs" {
		m.cmd.Stderr = io.MultiWriter(os.Stderr, &m.said)
	}
	var before, now syscall.Stat_t
	if err := syscall.Stat(m.point, &before); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { m.ended <- m.cmd.Wait() }()
	for ended := false; time.Since(begun) < time.Minute; time.Sleep(time.Millisecond) {
		if err := syscall.Stat(m.point, &now); err == nil && now.Dev != before.Dev {
			m.ready = time.Since(begun).Seconds()
			return m, nil
		}
		if ended {
			break
		}
		select {
		case err := <-m.ended:
			m.ended <- err
			ended = true // mount(8) ends when the kernel's mount is there: looked for once more
		default:
		}
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, err
	}
	return nil, fmt.Errorf("%s: no mount: %w: %s", s.name, <-m.ended, m.said.Bytes())
}

// peak is the most memory that the mount's process has had, 0 if it has none.
func (m *mounted) peak() int64 {
	if m.cmd == nil {
		return 0
	}
	return peak(m.cmd.Process.Pid)
}

// unmount ends it as a user would; one that is busy still is given some seconds, then it is killed.
func (m *mounted) unmount() error {
	if m.cmd == nil {
		return nil
	}
	var err error
	for range 50 {
		out, failed := exec.Command("umount", m.point).CombinedOutput()
		if failed == nil {
			return <-m.ended
		}
		err = fmt.Errorf("umount: %w: %s", failed, out)
		time.Sleep(100 * time.Millisecond)
	}
	if out, failed := exec.Command("umount", "-l", m.point).CombinedOutput(); failed != nil {
		return fmt.Errorf("%w; umount -l: %s", err, out)
	}
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	fmt.Fprintf(os.Stderr, "bench: %s stayed busy, and its process was killed: %v\n", m.point, <-m.ended)
	return nil
}
