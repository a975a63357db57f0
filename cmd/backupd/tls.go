package main

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/mtls"
)

// tlsOptions are the same for either side of a connection.
type tlsOptions struct{ dir string }

func (o *tlsOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dir, "tls", "", "use TLS, with ca.pem, cert.pem and key.pem of the folder `DIR` (backupd agent keygen)")
}

func (o *tlsOptions) on() bool { return o.dir != "" }

func (o *tlsOptions) files() mtls.Files { return mtls.In(o.dir) }

// warn notes what will soon be wrong with the files.
func (o *tlsOptions) warn(out *output) {
	if err := o.files().Expiring(); err != nil {
		out.note("%v", err)
	}
}

// hint says what helps against an error of the files.
func (o *tlsOptions) hint(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cli.WithHint(err, "backupd agent keygen --help")
	case errors.Is(err, fs.ErrPermission):
		if u, userErr := user.LookupId(strconv.Itoa(os.Geteuid())); userErr == nil { // not Current, who was root
			return cli.WithHint(err, "chown -R %s %s", cli.Shell(u.Username), cli.Shell(filepath.Clean(o.dir)))
		}
	}
	return err
}
