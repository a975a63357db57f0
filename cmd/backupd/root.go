package main

import (
	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
)

// newRoot is the command with all its verbs.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "backupd",
		Version: cli.Version(),
		Short:   "Back Cyrus users up into a store of archives",
		Long: `Backupd backs the users of a Cyrus IMAP server up, each into one .tar.gz that grows with every run, and looks
after the store of these archives. The program backupfs mounts a store as a tree of dates.`,
		Example: `  backupd backup --store /srv/backup
  backupd list --store /srv/backup brong
  backupd verify --store /srv/backup`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cli.WithHint(cli.Usagef("what is to be done?"), "backupd --help")
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newBackup(), newServe(), newStatus(), newCheckConfig(), newList(), newFind(), newDiff(), newVersions(), newVerify(), newRepair(), newReindex(), newCompact(), newRestore(), newFinish(), newImport(), newDump(), newAgent(), newGendoc())
	return root
}
