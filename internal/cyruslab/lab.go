package cyruslab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	adminUser = "cyrus"
	toolDir   = "/usr/lib/cyrus/bin" // Debian's
	master    = "/usr/sbin/cyrmaster"

	// Both take a fraction of a second on a machine with nothing else to do.
	startTimeout = 2 * time.Minute
	stopTimeout  = time.Minute
)

// Lab is one private server.
type Lab struct {
	Dir     string // everything of the server: spool, conf, meta, archive, run, log
	Conf    string // its imapd.conf
	Port    int    // IMAP, on 127.0.0.1; of the last Start
	Options Options

	cred   *syscall.Credential // of user cyrus; nil if we are that user
	kept   net.Listener        // keeps the Port for us while it runs
	master int                 // process id, 0 while stopped
	ended  chan struct{}       // closed when master has ended
}

// New writes the configuration of a server below dir, which is made if it does not exist and must be reachable for user
// cyrus. It does not start it.
func New(dir string, o Options) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir, Conf: dir + "/imapd.conf", Options: o}
	if l.cred, err = credential(); err != nil {
		return nil, err
	}
	for _, d := range []string{"", "conf", "spool", "spool2", "meta", "archive", "archive2", "sieve", "log", "run", "run/lock", "run/proc",
		"conf/db", "conf/db.backup1", "conf/db.backup2", "conf/log", "conf/msg", "conf/quota", "conf/user", "conf/proc", "conf/lock", "conf/socket"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(l.Conf, []byte(o.imapdConf(dir)), 0o644); err != nil {
		return nil, err
	}
	if o.Syslog {
		if err := l.buildSyslog(); err != nil {
			return nil, err
		}
	}
	return l, l.own()
}

// own gives everything to user cyrus.
func (l *Lab) own() error {
	if l.cred == nil {
		return nil
	}
	return filepath.WalkDir(l.Dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(l.cred.Uid), int(l.cred.Gid))
	})
}

// credential returns what makes a process run as user cyrus, nil if it does so already.
func credential() (*syscall.Credential, error) {
	u, err := user.Lookup(adminUser)
	if err != nil {
		return nil, fmt.Errorf("%w (is Debian's cyrus-imapd installed?)", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	switch os.Geteuid() {
	case uid:
		return nil, nil
	case 0:
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("a private Cyrus needs user root or %s", adminUser)
}

// Start brings the server up on a free port and returns when it answers.
func (l *Lab) Start() error {
	if l.master != 0 {
		return errors.New("already running")
	}
	// The port is free when we ask, and may be taken by a stranger when master binds it: then another is tried.
	var err error
	for range 5 {
		if l.Port, l.kept, err = keepPort(); err != nil {
			return err
		}
		if err = l.startOn(l.Port); err == nil {
			return nil
		}
		_ = l.kept.Close()
	}
	return err
}

// keepPort returns a port that is free, and none of those that the kernel hands out (from 32768 on). As long as kept is open no other
// process takes it for a server: packages are tested side by side.
func keepPort() (port int, kept net.Listener, err error) {
	for range 1000 {
		port = 20_000 + rand.IntN(10_000)
		if kept, err = net.Listen("unix", fmt.Sprintf("@backupfs-cyruslab-%d", port)); err != nil {
			continue
		}
		var ln net.Listener
		if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, kept, ln.Close()
		}
		_ = kept.Close()
	}
	return 0, nil, err
}

func (l *Lab) startOn(port int) error {
	if err := os.WriteFile(l.Dir+"/cyrus.conf", []byte(l.Options.cyrusConf(l.Dir, port)), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(master, "-C", l.Conf, "-M", l.Dir+"/cyrus.conf", "-p", l.Dir+"/run/master.pid", "-L", l.Dir+"/log/master")
	cmd.Dir = l.Dir
	cmd.Env = l.env()
	if l.Options.Syslog {
		cmd.Env = append(cmd.Env, "LD_PRELOAD="+l.syslogLibrary(), "CYRUSLAB_LOG="+l.syslogFile())
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: l.cred, Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		// Pdeathsig is sent when the thread that started the child ends: this one lives as long as the child.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it ends by our signal
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	l.master, l.ended = cmd.Process.Pid, ended
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		if c, err := l.dial(); err == nil {
			_ = c.Close()
			return nil
		}
		select {
		case <-ended:
			l.master = 0
			log, _ := os.ReadFile(l.Dir + "/log/master")
			return fmt.Errorf("%s ended: %v %s", master, cmd.ProcessState, bytes.TrimSpace(log))
		default:
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s does not answer on port %d", l.Conf, port), l.Stop())
		}
	}
}

// Reload has master read its configuration again, and replace what it has started.
func (l *Lab) Reload() error { return syscall.Kill(l.master, syscall.SIGHUP) }

// Stop ends the server and waits for all its processes. It does nothing if it does not run.
func (l *Lab) Stop() error {
	if l.master == 0 {
		return nil
	}
	group := -l.master // master leads a session of its own, see Setsid
	l.master = 0
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	defer func() { _ = l.kept.Close() }()
	deadline := time.Now().Add(stopTimeout)
	for alive(-group) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(group, syscall.SIGKILL) // the last may have ended
		}
		time.Sleep(5 * time.Millisecond)
	}
	<-l.ended
	return nil
}

// alive reports whether a process of the session still runs; what only waits to be reaped by init does not count.
func alive(session int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// proc(5): pid (comm) state ppid pgrp session; comm may hold anything.
		f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(f) > 3 && string(f[3]) == strconv.Itoa(session) && f[0][0] != 'Z' && f[0][0] != 'X' {
			return true
		}
	}
	return false
}

func (l *Lab) env() []string {
	return []string{"PATH=" + toolDir + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
}

// Tool runs one of Cyrus's own tools as user cyrus: lab.Tool("cyr_expire", "-X", "0"). Its standard output is returned.
func (l *Lab) Tool(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(toolDir, name), append([]string{"-C", l.Conf}, args...)...)
	cmd.Dir = "/"
	cmd.Env = l.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.cred}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Sep is the separator of mailbox names.
func (l *Lab) Sep() string { return choose(l.Options.UnixHierarchySep, "/", ".") }
