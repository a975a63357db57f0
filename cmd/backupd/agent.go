package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"backupfs/agent"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/managed"
	"backupfs/source"
)

type agentOptions struct {
	output
	listen   string
	conf     string
	tls      tlsOptions
	insecure bool
	maxConns int
	rate     byteSize
	drive    byteSize
}

func newAgent() *cobra.Command {
	opts := agentOptions{drive: 1 << 20}
	cmd := &cobra.Command{
		Use:   "agent [--listen ADDR]",
		Short: "Serve the spool on this host to backup programs",
		Long: `Serve the mail of the Cyrus server on this host to backup programs, Cyrus's own Cyrus::Backup among them, in the
protocol of Cyrus's backupcyrusd; the server may be of any version from 2.3 to 3.13. What is sent is copied or opened under Cyrus's
own locks, which are released before the first byte goes to a client.

Whoever can connect can read all mail. Without --tls, ADDR is therefore an address of this host alone, as 127.0.0.1:2901 or
[::1]:2901, or unix:PATH for a socket that only root and the server's user can open. With --tls the agent lets in only
clients whose certificate the CA in DIR/ca.pem has signed, and shows them its own; backupd agent keygen makes both. Renewed
files are used from the next connection on. Started as root, the agent goes on as the server's user once it listens; so the
files in DIR must be that user's.

SIGTERM ends it: requests that are being answered have ten seconds; SIGHUP does so once they all are. Cyrus's master starts it, as
SERVICES or as DAEMON, and systemd, with a socket or without (docs/agent.md). What goes wrong with one client or one mailbox is said on
stderr; the others are served.

Exit status: 0 if it was ended by a signal; 1 if it cannot listen or failed; 2 if ADDR is none that may be served.`,
		Example: `  backupd agent
  backupd agent --listen 127.0.0.1:2902 --imapd-conf /etc/imapd-2.conf
  backupd agent --listen unix:/run/cyrus/backup.sock
  backupd agent --listen :2901 --tls /etc/backupd/tls
  ssh -L 2901:127.0.0.1:2901 imap.example.com     (from the backup host: the agent of another one)`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runAgent(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", "", "serve on `ADDR`: host:port or unix:PATH (default "+defaultListen+", or the socket of who started it)")
	addConf(cmd, &opts.conf)
	opts.tls.add(cmd)
	flags.BoolVar(&opts.insecure, "insecure", false, "serve a network without TLS: everybody there can read all mail")
	flags.IntVar(&opts.maxConns, "max-connections", agent.DefaultMaxConns, "serve so many clients at a time")
	flags.Var(&opts.rate, "rate", "send at most `SIZE` a second, to all clients together (50MB)")
	flags.Var(&opts.drive, "drive", "read at most `SIZE` of a partition's messages at a time, for all clients together")
	cmd.AddCommand(newAgentKeygen())
	return cmd
}

func runAgent(ctx context.Context, opts agentOptions) error {
	debug.SetGCPercent(agentGC)
	if opts.maxConns < 1 {
		return cli.Usagef("--max-connections %d: it serves nobody", opts.maxConns)
	}
	if opts.tls.on() && opts.insecure {
		return cli.Usagef("--insecure serves without TLS: not with --tls")
	}
	manager, err := managed.Find() // before any file is opened
	if err != nil {
		return err
	}
	pins, err := pinsPerClient(opts.maxConns)
	if err != nil {
		return err
	}
	src, err := openSpool(ctx, "agent", source.LocalOptions{ConfigPath: opts.conf, MaxPins: pins, DriveBytes: int64(opts.drive)})
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	uid, gid := src.Owner()
	ln, err := opts.listener(ctx, manager, uid, gid)
	if err != nil {
		return err
	}
	if err := become(uid, gid); err != nil {
		return errors.Join(err, ln.Close())
	}
	served, err := opts.guard(ln)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	if _, err := src.Inboxes(ctx); err != nil { // now rather than at the first request
		return errors.Join(fmt.Errorf("%s: %w", opts.conf, err), ln.Close())
	}
	if by, problems := src.Listing(); len(problems) > 0 {
		for _, problem := range problems {
			opts.note("list of mailboxes, by %s: %v", by, problem)
		}
	}
	opts.note("serving the mail of %s on %s", src.Name(), ln.Addr())
	report := func(err error) {
		if err != nil {
			opts.note("%v", err)
		}
	}
	finish, stop := signal.NotifyContext(context.Background(), syscall.SIGHUP)
	defer stop()
	report(manager.Ready())
	return agent.Serve(ctx, src, served, agent.Options{
		MaxConns: opts.maxConns,
		Rate:     int64(opts.rate),
		Finish:   finish,
		Stopping: func() { report(manager.Stopping()) },
		Report:   report,
	})
}

// agentGC: what it holds is mostly the list of mailboxes, this one and the one before; Go's 100 would let as much again lie fallow.
const agentGC = 25

const maxPins = 4096 // as many as are worth it: four rounds of what Cyrus's own client asks for

// pinsPerClient: half of the files that may be open are for messages, with as many clients as there can be.
func pinsPerClient(clients int) (int, error) {
	var limit unix.Rlimit // Go raises it to what is allowed when a program starts
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	return int(max(1, min(maxPins, limit.Cur/2/uint64(clients)))), nil
}
