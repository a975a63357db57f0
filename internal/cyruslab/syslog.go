package cyruslab

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed testdata/syslog.c
var syslogSource []byte

// Cyrus logs to syslog and nowhere else, and a test has no syslog of its own. So its daemons are given another syslog function.

// buildSyslog makes the library that has it.
func (l *Lab) buildSyslog() error {
	source := filepath.Join(l.Dir, "log", "syslog.c")
	if err := os.WriteFile(source, syslogSource, 0o644); err != nil {
		return err
	}
	out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", l.syslogLibrary(), source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("gcc: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func (l *Lab) syslogLibrary() string { return filepath.Join(l.Dir, "log", "syslog.so") }
func (l *Lab) syslogFile() string    { return filepath.Join(l.Dir, "log", "syslog") }

// Logged returns the errors, and what is worse, that the server's daemons have logged; with Options.Syslog only.
func (l *Lab) Logged() (lines []string, err error) {
	b, err := os.ReadFile(l.syslogFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for line := range strings.Lines(string(b)) {
		stopped := strings.Contains(line, "signaled to death by signal 15") // by Stop, before it had a handler
		if line[0] <= '3' && !stopped {                                     // LOG_ERR
			lines = append(lines, strings.TrimSpace(line[1:]))
		}
	}
	return lines, err
}
