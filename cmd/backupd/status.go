package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/lock"
	"backupfs/schedule"
)

type statusOptions struct {
	output
	config string
	store  string
}

func newStatus() *cobra.Command {
	var opts statusOptions
	cmd := &cobra.Command{
		Use:   "status --config FILE | --store DIR",
		Short: "Show how backupd serve stands",
		Long: `Show how backupd serve stands, whether it runs or not: of each drive unit the users, how many were never backed up, are late,
failed or are due, and the oldest and the newest backup; the stores; what is in the way of many users; who failed, and why; who is no longer
in the list of users; whose archive is damaged; how fast it goes, and when it will be through.

Late is who had no turn in the last window, or whose backup is older than is allowed. DIR is the store, the first if there are several.

Exit status: 0; 1 if backupd serve never ran for the store; 2 if FILE is wrong.`,
		Example: `  backupd status --store /srv/backup
  backupd status --config /etc/backupd/backupd.toml --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(opts.start(cmd), notWithConfig(cmd, "store")); err != nil {
				return err
			}
			return runStatus(opts)
		},
	}
	addConfig(cmd, &opts.config)
	addStore(cmd, &opts.store)
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

// status is how it stands, for --json.
type status struct {
	Running bool           `json:"running"`
	Plan    *schedule.Plan `json:"plan"`
	schedule.Report
}

func runStatus(opts statusOptions) error {
	dir, err := opts.dir()
	if err != nil {
		return err
	}
	running, err := lock.Held(filepath.Join(dir, schedule.LockName))
	if err != nil {
		return err
	}
	report, plan, err := schedule.ReadReport(filepath.Join(dir, schedule.StateName), running)
	if errors.Is(err, fs.ErrNotExist) {
		return cli.WithHint(fmt.Errorf("%s: backupd serve never ran for it", dir), "backupd list --store %s (what it has)", cli.Shell(dir))
	}
	if err != nil {
		return err
	}
	st := status{running, &plan, report}
	if opts.json {
		return json.NewEncoder(opts.out).Encode(st)
	}
	return st.print(opts.out)
}

// dir is the store that has the state.
func (opts *statusOptions) dir() (string, error) {
	if opts.config == "" {
		return storeDir("status", opts.store, nil)
	}
	c, err := loadConfig(&opts.output, opts.config)
	if err != nil {
		return "", err
	}
	return c.Stores[0], nil
}
