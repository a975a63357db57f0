package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// result is what a command took.
type result struct {
	seconds float64
	peak    int64 // bytes of memory, 0 if it was not asked for
}

// timed runs a command, its output read and thrown away, as a pipe would (GNU grep stops early where it sees /dev/null).
// A status of 1 is no failure: grep's, where it finds nothing.
func timed(argv ...string) (float64, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{io.Discard}, &stderr
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun).Seconds()
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() == 1 && stderr.Len() == 0 {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, stderr.Bytes())
	}
	return took, err
}

// withPeak runs a command and watches its memory.
func withPeak(argv ...string) (result, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var r result
	for {
		select {
		case err := <-ended:
			r.seconds = time.Since(begun).Seconds()
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, output.Bytes())
			}
			return r, err
		case <-time.After(10 * time.Millisecond):
			r.peak = max(r.peak, peak(cmd.Process.Pid))
		}
	}
}

// peak is the most memory that a process has had, in bytes; 0 if it is gone. Rusage would not do: it begins with what
// the parent had when it forked.
func peak(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ := strconv.ParseInt(f[0], 10, 64)
		return n * 1024
	}
	return 0
}

// dropCaches makes the kernel forget what it has read.
func dropCaches() error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if len(v)%2 == 1 {
		return v[len(v)/2]
	}
	return (v[len(v)/2-1] + v[len(v)/2]) / 2
}
