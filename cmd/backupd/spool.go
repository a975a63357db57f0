package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/source"
)

func addConf(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "imapd-conf", "/etc/imapd.conf", "the server's configuration `FILE`")
}

// openSpool opens the spool of this host's server for a verb.
func openSpool(ctx context.Context, verb string, o source.LocalOptions) (*source.Local, error) {
	src, err := source.OpenLocal(ctx, o)
	if errors.Is(err, fs.ErrNotExist) {
		err = cli.WithHint(err, "backupd %s --imapd-conf FILE (on the server's host, its configuration)", verb)
	}
	return src, err
}
