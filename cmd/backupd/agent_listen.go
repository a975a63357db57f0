package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/managed"
	"backupfs/internal/mtls"
	"backupfs/internal/wire"
)

const defaultListen = "127.0.0.1:2901"

// listener is the manager's socket, or one of our own.
func (o *agentOptions) listener(ctx context.Context, manager *managed.Manager, uid, gid int) (net.Listener, error) {
	switch {
	case manager.Listener == nil:
		return listen(ctx, cmp.Or(o.listen, defaultListen), uid, gid)
	case o.listen != "":
		return nil, cli.Usagef("--listen %s: who started the agent made a socket already: %s", o.listen, manager.Listener.Addr())
	}
	return manager.Listener, nil
}

// guard lets in only whom the CA has signed, or whoever is on this host.
func (o *agentOptions) guard(ln net.Listener) (net.Listener, error) {
	if o.tls.on() {
		config, err := mtls.Server(o.tls.files())
		if err != nil {
			return nil, o.tls.hint(err)
		}
		o.tls.warn(&o.output)
		return tls.NewListener(ln, config), nil
	}
	if !o.insecure && !thisHostAlone(ln.Addr()) {
		return nil, cli.WithHint(cli.Usagef("%s: other hosts can reach it, and could read all mail", ln.Addr()),
			"backupd agent keygen DIR, and --tls with the folder that it makes; or --insecure where the network is safe")
	}
	return ln, nil
}

// listen opens an address. A socket's file belongs to the server's user.
func listen(ctx context.Context, addr string, uid, gid int) (net.Listener, error) {
	network, address, err := parseAddress("listen", addr)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return listenUnix(ctx, address, uid, gid)
	}
	return new(net.ListenConfig).Listen(ctx, network, address)
}

// parseAddress reads an address, as a flag has it.
func parseAddress(flag, addr string) (network, address string, err error) {
	if network, address, err = wire.ParseAddress(addr); err != nil {
		err = cli.Usagef("--%s %s: %v", flag, addr, err)
	}
	return network, address, err
}

// thisHostAlone reports whether no other host reaches an address.
func thisHostAlone(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// listenUnix makes a socket that root and the server's user can open. One that a dead process left behind is replaced.
func listenUnix(ctx context.Context, path string, uid, gid int) (net.Listener, error) {
	if err := removeDead(path); err != nil {
		return nil, err
	}
	before := syscall.Umask(0o177)
	ln, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	syscall.Umask(before)
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(path, uid, gid); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	return ln, nil
}

// removeDead removes a socket on which nobody listens. Another file is left where it is, and is in the way.
func removeDead(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode().Type() != fs.ModeSocket {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%s: another process listens there", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
