package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/mtls"
)

type keygenOptions struct {
	output
	hosts  []string
	client string
}

func newAgentKeygen() *cobra.Command {
	var opts keygenOptions
	cmd := &cobra.Command{
		Use:   "keygen DIR [--host NAME]... [--client NAME]",
		Short: "Make the certificates for TLS",
		Long: `Make a private CA in DIR, and a folder each for an agent and for a client: DIR/agent-HOST and DIR/client-NAME, with
ca.pem, cert.pem and key.pem, for --tls. Copy these two to their hosts, and keep DIR where nobody else reads: whoever has its ca.key
can read all mail.

The agent is for the hosts or IP addresses by which clients reach it (default: this host's name), the client is called
backup. Where DIR has a CA already, what --host and --client name is added. Nothing is overwritten: to make one
anew, as one must every five years, move the old folder away first.

Exit status: 0 if all was made; 1 if something is there already or failed; 2 if nothing is to be made.`,
		Example: `  backupd agent keygen /root/backupd-ca --host imap1.example.com
  backupd agent keygen /root/backupd-ca --host imap2.example.com --host 192.0.2.7
  scp -r /root/backupd-ca/agent-imap1.example.com imap1.example.com:/etc/backupd/tls`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runAgentKeygen(args[0], opts)
		},
	}
	cmd.Flags().StringArrayVar(&opts.hosts, "host", nil, "make an agent that clients reach as `NAME`, or an IP address; also several")
	cmd.Flags().StringVar(&opts.client, "client", "", "make a client called `NAME`")
	return cmd
}

func runAgentKeygen(dir string, opts keygenOptions) error {
	for _, name := range opts.hosts {
		if err := mtls.CheckName(name); err != nil {
			return cli.Usagef("--host %v", err)
		}
	}
	if err := mtls.CheckName(opts.client); opts.client != "" && err != nil {
		return cli.Usagef("--client %v", err)
	}
	ca, err := mtls.OpenAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = opts.newAuthority(dir)
	}
	if err != nil {
		return err
	}
	if len(opts.hosts) == 0 && opts.client == "" {
		return cli.WithHint(cli.Usagef("%s has a CA already: what is to be added?", dir), "backupd agent keygen %s --host NAME", cli.Shell(dir))
	}
	if len(opts.hosts) > 0 {
		if err := opts.made(ca.Agent(opts.hosts...)); err != nil {
			return err
		}
	}
	if opts.client != "" {
		return opts.made(ca.Client(opts.client))
	}
	return nil
}

// newAuthority makes the CA, and sees to it that there will be an agent and a client.
func (o *keygenOptions) newAuthority(dir string) (*mtls.Authority, error) {
	if len(o.hosts) == 0 {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		o.hosts = []string{host}
	}
	if o.client == "" {
		o.client = "backup"
	}
	return mtls.NewAuthority(dir)
}

func (o *keygenOptions) made(dir string, err error) error {
	if err == nil {
		o.say("%s", dir)
	}
	return err
}
