// Package managed is for a daemon that another process starts and ends: Cyrus's master, systemd, or nobody in particular. The
// environment says who it is.
package managed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Manager is who started this process.
type Manager struct {
	Listener net.Listener // made by the manager, which goes on listening when this process has ended; nil if it made none

	status          *os.File // where Cyrus's master is told; nil if it is not, or does not listen
	ready, stopping []byte   // what it is told
}

// Descriptors that Cyrus's master hands over.
//
// cyrus: master/service.h
const (
	statusFD = 3
	listenFD = 4
)

// unavailable is said by a service about to exit: master starts another as soon as somebody connects. What else could be said,
// it only counts: that it took a connection (4), and once that has ended nothing, since to the end it is ready for more.
//
// cyrus: master/service.h, master/master.c process_msg
const unavailable = 2

// Find must be called before anything else opens a file, and once.
func Find() (*Manager, error) {
	_, isDaemon := os.LookupEnv("CYRUS_ISDAEMON")
	_, isService := os.LookupEnv("CYRUS_SERVICE")
	switch {
	case isDaemon:
		return masterDaemon(), nil
	case isService:
		return masterService()
	}
	return systemd()
}

// masterDaemon: master waits for the word where the entry says wait=y, and descriptor 3 is a pipe then.
//
// cyrus: master/master.c spawn_waitdaemon
func masterDaemon() *Manager {
	var st unix.Stat_t
	if err := unix.Fstat(statusFD, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return &Manager{}
	}
	return &Manager{status: inherited(statusFD), ready: []byte("ok\r\n")}
}

// masterService: a service is taken for ready when it starts.
//
// cyrus: master/master.c spawn_service
func masterService() (*Manager, error) {
	ln, err := listener(inherited(listenFD))
	if err != nil {
		return nil, fmt.Errorf("socket of Cyrus's master: %w", err)
	}
	message := binary.NativeEndian.AppendUint32(nil, unavailable)
	message = binary.NativeEndian.AppendUint32(message, uint32(os.Getpid()))
	return &Manager{Listener: ln, status: inherited(statusFD), stopping: message}, nil
}

// inherited is a descriptor that no further process gets.
func inherited(fd int) *os.File {
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", fd))
}

func listener(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	return ln, errors.Join(err, f.Close()) // it is a copy
}

func systemd() (*Manager, error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return &Manager{}, nil
	}
	if len(files) > 1 {
		return nil, fmt.Errorf("systemd hands over %d sockets: one is served", len(files))
	}
	ln, err := listener(files[0])
	if err != nil {
		return nil, fmt.Errorf("socket of systemd: %w", err)
	}
	return &Manager{Listener: ln}, nil
}

// Every is how often Alive is to be called: twice in the time after which systemd takes a silent process for one that hangs, and often
// enough for people to look at it; also with an error.
func (m *Manager) Every() (time.Duration, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return alive, fmt.Errorf("watchdog of systemd: %w", err)
	}
	if limit == 0 {
		return alive, nil
	}
	return min(alive, limit/2), nil
}

const alive = 10 * time.Second

// Alive tells that work goes on, and how far it is. Cyrus's master does not ask.
func (m *Manager) Alive(status string) error {
	return m.tell(nil, daemon.SdNotifyWatchdog+"\nSTATUS="+strings.ReplaceAll(status, "\n", " "))
}

// Ready tells that requests are served.
func (m *Manager) Ready() error { return m.tell(m.ready, daemon.SdNotifyReady) }

// Stopping tells that no more connections are taken.
func (m *Manager) Stopping() error { return m.tell(m.stopping, daemon.SdNotifyStopping) }

func (m *Manager) tell(master []byte, systemd string) error {
	if len(master) > 0 {
		if _, err := m.status.Write(master); err != nil {
			return fmt.Errorf("cannot tell Cyrus's master: %w", err)
		}
	}
	if _, err := daemon.SdNotify(false, systemd); err != nil {
		return fmt.Errorf("cannot tell systemd: %w", err)
	}
	return nil
}
