package main

import (
	"context"
	"errors"
	"io"
	"log"
	"log/syslog"
	"os"
	"os/exec"
	"syscall"

	"backupfs/cmd/internal/cli"
)

// The program goes into the background by starting itself anew, in a session of its own. The child says by a byte on descriptor 3 that
// the mount answers; up to then its errors go where ours go.
const (
	backgroundEnv = "BACKUPFS_BACKGROUND"
	readyFD       = 3
)

// inBackground reports whether this process was started by startBackground.
func inBackground() bool { return os.Getenv(backgroundEnv) != "" }

// startBackground starts the child, waits until its mount answers, and returns the child's exit code if it never does.
func startBackground(ctx context.Context) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	child := exec.Command(self, os.Args[1:]...)
	child.Env = append(os.Environ(), backgroundEnv+"=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.ExtraFiles = []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	interrupted := context.AfterFunc(ctx, func() { _ = child.Process.Signal(syscall.SIGTERM) })
	n, _ := io.ReadFull(r, make([]byte, 1))
	interrupted()
	if n == 1 {
		return 0, child.Process.Release()
	}
	err = child.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exit.ExitCode(), nil
	}
	if err == nil {
		err = errors.New("the process in the background ended before the mount answered")
	}
	return 0, err
}

// ready tells the parent, if there is one, that the mount answers, and lets go of its terminal: the log goes to syslog from now on,
// or nowhere.
func ready(logger *log.Logger) error {
	if !inBackground() {
		return nil
	}
	logger.SetPrefix("")
	if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_WARNING, "backupfs"); err == nil {
		logger.SetOutput(cli.Lines(w))
	} else {
		logger.SetOutput(io.Discard)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := syscall.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	parent := os.NewFile(readyFD, "parent")
	defer parent.Close()
	_, err = parent.Write([]byte{1})
	return err
}
