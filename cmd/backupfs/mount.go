package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sync/errgroup"

	"backupfs/cmd/internal/cli"
	"backupfs/fs"
)

// mount is one mount, from the checks to its end.
type mount struct {
	dir     string
	options options
	log     *log.Logger
}

// newMount checks everything that can be refused before something is mounted.
func newMount(ctx context.Context, root, dir string, words []string) (*mount, error) {
	o, err := parseOptions(words)
	if err != nil {
		return nil, err
	}
	if err := checkFUSE(); err != nil {
		return nil, err
	}
	// The mount point first: that of a dead mount cannot even be resolved.
	if err := checkMountpoint(dir); err != nil {
		return nil, err
	}
	if dir, err = cli.Real(dir); err != nil {
		return nil, err
	}
	if root, err = cli.Real(root); err != nil {
		return nil, err
	}
	if err := checkOverlap("store", root, dir); err != nil {
		return nil, err
	}
	if o.fs.CacheDir, err = cli.Real(o.fs.CacheDir); err != nil {
		return nil, err
	}
	if o.fs.Store, err = openStore(ctx, root, o.fs.CacheDir); err != nil {
		return nil, err
	}
	if err := checkOverlap("cachedir", o.fs.CacheDir, dir); err != nil {
		return nil, err
	}
	m := &mount{dir: dir, options: o, log: log.New(cli.Lines(os.Stderr), "backupfs: ", 0)}
	m.options.fs.Log = m.log
	return m, nil
}

// run mounts and serves until a signal comes or somebody unmounts.
func (m *mount) run(ctx context.Context) (err error) {
	// Nobody's folder is to be kept from being unmounted by this process.
	if err = os.Chdir("/"); err != nil {
		return err
	}
	collectOften()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	defer signal.Stop(asked)
	profile := profiler{dir: cmp.Or(m.options.profile, m.options.fs.CacheDir)}
	if m.options.profile != "" {
		if err := profile.begin(); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, profile.end()) }()
	f := fs.New(m.options.fs)
	server, err := fuse.NewServer(f, m.dir, m.fuseOptions())
	if err != nil {
		return errors.Join(cli.WithHint(fmt.Errorf("mounting on %s: %s", m.dir, strings.TrimSpace(err.Error())), "%s", m.mountHint()), f.Close())
	}
	var group errgroup.Group
	served := make(chan struct{})
	group.Go(func() error {
		defer close(served)
		server.Serve()
		return nil
	})
	// The kernel's greeting is answered already, so whoever comes is served. fuse.Server.WaitMount would prove it by opening a
	// file in there: killed in that moment, this process would wait for itself for ever.
	if err = ready(m.log); err == nil {
		m.serve(ctx, served, asked, &profile)
	}
	if lazy, err2 := m.unmount(server, served); lazy || err2 != nil {
		// Somebody still has files open there; they see the end of this process as the end of the mount.
		return errors.Join(err, err2)
	}
	return errors.Join(err, group.Wait(), f.Close())
}

// serve waits until a signal comes or the mount has ended. Whoever wants to know where time goes asks by another signal.
func (m *mount) serve(ctx context.Context, served <-chan struct{}, asked <-chan os.Signal, p *profiler) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-served:
			return
		case <-asked:
			did, err := p.toggle()
			if err != nil {
				did = err.Error()
			}
			m.log.Printf("profile: %s", did)
		}
	}
}

// collectOften keeps the memory of inflated members near their bound: as set by default, garbage may take as much again. It costs
// little, for they hold no pointers.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

func (m *mount) fuseOptions() *fuse.MountOptions {
	return &fuse.MountOptions{
		Name:       "backupfs",
		FsName:     m.options.fs.Store.Root,
		AllowOther: m.options.allowOther,
		// The kernel checks modes, and refuses what writes before it asks us.
		Options: []string{"default_permissions", "ro"},
		// Root mounts by itself, so that an error is the kernel's own.
		DirectMount:       os.Geteuid() == 0,
		DirectMountStrict: os.Geteuid() == 0,
		DirectMountFlags:  syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_RDONLY,
		// Links are as immutable as all the rest: a link that changes has another node id.
		EnableSymlinkCaching: true,
		IgnoreSecurityLabels: true,
		// Node ids count users as they are looked at: a file handle that outlives the mount, as an NFS server makes them, would stand for
		// another user's mail in the next one. So there are none.
		ExtraCapabilities: fuse.CAP_NO_OPENDIR_SUPPORT | fuse.CAP_NO_EXPORT_SUPPORT,
		// There is no file to splice from; to find that out takes go-fuse a pipe each time.
		DisableSplice: true,
		// Read-ahead of many files at once.
		MaxBackground: 64,
		Logger:        m.log,
	}
}

func (m *mount) mountHint() string {
	if os.Geteuid() != 0 && m.options.allowOther {
		return "echo user_allow_other >> /etc/fuse.conf (as root)"
	}
	return "mount | grep " + m.dir
}

// unmount ends the mount, lazily if it is in use. It is not an error if somebody else was first.
func (m *mount) unmount(server *fuse.Server, served <-chan struct{}) (lazy bool, err error) {
	select {
	case <-served:
		return false, nil
	default:
	}
	err = server.Unmount()
	if err == nil {
		return false, nil
	}
	m.log.Printf("%s is in use (%v); it is unmounted all the same", m.dir, err)
	if os.Geteuid() == 0 {
		err = syscall.Unmount(m.dir, syscall.MNT_DETACH)
	} else {
		cmd := exec.Command("fusermount3", "-u", "-z", m.dir)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		err = cmd.Run()
	}
	if err != nil {
		err = cli.WithHint(fmt.Errorf("unmounting %s: %w", m.dir, err), "umount -l %s", m.dir)
	}
	return true, err
}
