package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/mtls"
	"backupfs/internal/wire"
	"backupfs/source/remote"
)

// ofSpool are the flags that say how the spool on this host is read.
var ofSpool = []string{"imapd-conf", "lock-timeout", "mailbox-list"}

// usersFromAgent at a time are backed up from an agent: each waits for a round trip at least, which costs neither side anything. An
// agent serves many more clients than that.
const usersFromAgent = 8

// openAgent connects to where users are backed up from.
func openAgent(ctx context.Context, cmd *cobra.Command, addr string, secured tlsOptions, out *output) (*remote.Source, error) {
	for _, flag := range ofSpool {
		if cmd.Flags().Changed(flag) {
			return nil, cli.Usagef("--%s is about the spool on this host: with --from, the agent has it", flag)
		}
	}
	dial, err := dialer(addr, secured)
	if err != nil {
		return nil, err
	}
	if secured.on() {
		secured.warn(out)
	}
	src, err := connectAgent(ctx, dial, addr, remote.Options{})
	if err != nil {
		return nil, fmt.Errorf("--from %s: %w", addr, err)
	}
	return src, nil
}

// connectAgent connects, and says what helps where it cannot.
func connectAgent(ctx context.Context, dial remote.Dial, addr string, o remote.Options) (*remote.Source, error) {
	src, err := remote.Open(ctx, dial, o)
	switch {
	case errors.Is(err, remote.ErrNotAgent):
		err = cli.WithHint(err, "backupd agent --help (on the IMAP host; is it the right port?)")
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		err = cli.WithHint(err, "backupd agent --listen %s (on the IMAP host)", cli.Shell(addr))
	}
	return src, err
}

// dialer makes the connections to an agent, in this one place. The files of TLS are read for each.
func dialer(addr string, secured tlsOptions) (remote.Dial, error) {
	network, address, err := parseAddress("from", addr)
	if err != nil {
		return nil, err
	}
	if !secured.on() {
		return func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}, nil
	}
	host := wire.CertifiedHost(network, address)
	if host == "" {
		return nil, cli.Usagef("--tls with --from %s: the agent's certificate is for a host, so ADDR must be host:port", addr)
	}
	if _, err := mtls.Client(secured.files(), host); err != nil {
		return nil, secured.hint(err)
	}
	return func(ctx context.Context) (net.Conn, error) {
		config, err := mtls.Client(secured.files(), host)
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
	}, nil
}
