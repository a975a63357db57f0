package main

import (
	"bytes"
	"context"
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

var errSlow = errors.New("takes too long")

// limit is what one measurement of reading may take, a minute for 30,000 messages: a peer that is slower is not waited for.
func (b *bench) limit() time.Duration {
	return max(10*time.Second, time.Duration(b.messages)*2*time.Millisecond)
}

// timed runs a command and returns its seconds. Its output is read and thrown away, as a pipe would: GNU grep stops
// early where it sees /dev/null. A status of 1 that says nothing is no failure: grep's, where it finds nothing.
func timed(cmd *exec.Cmd) (float64, error) {
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{io.Discard}, &stderr
	begun := time.Now()
	err := cmd.Run()
	took := time.Since(begun).Seconds()
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() == 1 && stderr.Len() == 0 {
		err = nil
	}
	return took, failure(cmd, err, stderr.Bytes())
}

func failure(cmd *exec.Cmd, err error, said []byte) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said[:min(len(said), 2000)])
}

// withinLimit runs a command, and kills it where it takes too long: errSlow.
func withinLimit(limit time.Duration, argv ...string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	took, err := timed(exec.CommandContext(ctx, argv[0], argv[1:]...))
	if ctx.Err() != nil {
		return took, errSlow
	}
	return took, err
}

// withPeak runs a command and watches its memory, in bytes.
func withPeak(cmd *exec.Cmd) (seconds float64, most int64, err error) {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			return time.Since(begun).Seconds(), most, failure(cmd, err, said.Bytes())
		case <-time.After(10 * time.Millisecond):
			most = max(most, peak(cmd.Process.Pid))
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

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile is the value below which this part of the values lies, between two of them in proportion.
func quantile(values []float64, part float64) float64 {
	v := slices.Sorted(slices.Values(values))
	at := part * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[i]
	}
	return v[i] + (v[i+1]-v[i])*(at-float64(i))
}
