package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
	"backupfs/schedule"
	"backupfs/schedule/config"
)

// load reads the configuration, or makes one of the flags.
func (opts *serveOptions) load() (config.Config, error) {
	if opts.config != "" {
		return loadConfig(&opts.output, opts.config)
	}
	dir, err := storeDir("serve", opts.store, nil)
	return config.Default(dir, opts.conf), err
}

func addConfig(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", "the configuration `FILE`")
}

// notWithConfig refuses flags that say what stands in the configuration.
func notWithConfig(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if cmd.Flags().Changed("config") && cmd.Flags().Changed(name) {
			return cli.Usagef("--config and --%s: use one of them", name)
		}
	}
	return nil
}

// loadConfig reads a configuration and tells all that is wrong with it.
func loadConfig(o *output, path string) (config.Config, error) {
	c, err := config.Load(path)
	if errors.Is(err, config.ErrConfig) {
		for _, mistake := range strings.Split(err.Error(), "\n") {
			o.note("%s", mistake)
		}
		err = cli.Usagef("%s: %v", path, config.ErrConfig)
	}
	return c, err
}

// openStores opens stores, and with init makes those that are not there.
func openStores(o *output, roots []string, init bool) (stores schedule.Stores, err error) {
	for _, root := range roots {
		open := store.Open
		if init {
			open = store.Init
		}
		st, err := open(root)
		if errors.Is(err, store.ErrNotStore) {
			err = cli.WithHint(err, "ls -ld %s (is its disk mounted? a new one: backupd serve --make-stores)", cli.Shell(root))
		}
		if err != nil {
			return nil, err
		}
		if st.Created {
			o.note("made a new store in %s", root)
		}
		stores = append(stores, st)
	}
	return stores, nil
}
