package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

type importOptions struct {
	output
	from, cache string
	store       string
	dryRun      bool
	users       []string
}

func newImport() *cobra.Command {
	var opts importOptions
	cmd := &cobra.Command{
		Use:   "import --from DIR --store DIR [USER...]",
		Short: "Copy archives of Cyrus::Backup into a store",
		Long: `Copy the archives of the named users, or of all, from a store of Cyrus's own Cyrus::Backup into a store of ours, with all the
history that they hold: each of their runs is a date there, and the next backupd backup of the user goes on behind it. DIR of
--from is the folder with the data and meta folders, or one with the archives anywhere below it, each in a folder of
its user's name. Nothing is written there.

A gzip archive is copied byte by byte; a plain tar is compressed, run by run. A copy counts only when it was compared with the
original, entry by entry, and is on disk: an import that is interrupted leaves no date of the user being copied, and can be
started again. Users whose history the store has already are left as they are. A user of whom the store has another
archive is refused, and so is an archive with damage in it, which can still be mounted where it lies.

With --json a user is one line.

Exit status: 0 if all is in the store; 1 or 3 if no user or some could not be imported; 4 if a backup of the user is going
on; 5 if an archive is damaged.`,
		Example: `  backupd import --from /var/backup/cyrus --store /srv/backup --dry-run
  backupd import --from /var/backup/cyrus --store /srv/backup
  backupd import --from /var/backup/cyrus --store /srv/backup brong`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runImport(cmd.Context(), opts)
		},
	}
	addStore(cmd, &opts.store)
	addCacheDir(cmd, &opts.cache)
	flags := cmd.Flags()
	flags.StringVar(&opts.from, "from", "", "`DIR` of Cyrus::Backup's archives")
	flags.BoolVarP(&opts.dryRun, "dry-run", "n", false, "only say what would be imported")
	opts.addQuiet(cmd)
	opts.addJSON(cmd, "print one JSON object a user")
	return cmd
}

func runImport(ctx context.Context, opts importOptions) error {
	if opts.from == "" {
		return cli.WithHint(cli.Usagef("it is not said what to import"), "backupd import --from DIR --store DIR")
	}
	dir, err := storeDir("import", opts.store, nil)
	if err != nil {
		return err
	}
	from, err := cli.OpenForeign(ctx, opts.from, cmp.Or(opts.cache, cli.CacheDir()))
	switch {
	case errors.Is(err, store.ErrOurs):
		return cli.WithHint(err, "cp -a %s DIR (a store is imported by being copied)", cli.Shell(opts.from))
	case errors.Is(err, store.ErrNotStore):
		return cli.WithHint(fmt.Errorf("%s: no archive of Cyrus::Backup is in it", opts.from), "find %s -name 'backupdata-*'", cli.Shell(opts.from))
	case err != nil:
		return err
	}
	to, err := opts.target(ctx, dir)
	if err != nil {
		return err
	}
	return overUsers(ctx, &opts.output, from, opts.users, func(ctx context.Context, u store.User) (*backup.Imported, error) {
		return backup.Import(ctx, to, u, backup.ImportOptions{DryRun: opts.dryRun, Progress: func(doing string, done, total int64) {
			opts.percent(u.Name+": "+doing+",")(done, total)
		}})
	}, func(u store.User, result *backup.Imported, err error) error {
		if err == nil {
			opts.print(to, u, result)
		}
		return nil
	})
}

// target opens the store, and makes it if need be.
func (opts *importOptions) target(ctx context.Context, dir string) (*store.Store, error) {
	from, err := cli.Real(opts.from)
	if err != nil {
		return nil, err
	}
	to, err := cli.Real(dir)
	if err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(from, to); err == nil && filepath.IsLocal(rel) {
		return nil, cli.Usagef("--store %s lies in %s, where nothing is written", dir, opts.from)
	}
	if opts.dryRun {
		st, err := store.Open(dir)
		if errors.Is(err, store.ErrNotStore) {
			return &store.Store{Root: dir}, nil // an import would make it
		}
		return st, err
	}
	st, err := store.Init(dir)
	if err != nil {
		return nil, notOurs(ctx, dir, err)
	}
	if st.Created {
		opts.note("made a new store in %s", dir)
	}
	return st, nil
}

// importedUser is one user in --json.
type importedUser struct {
	User     string    `json:"user"`
	Runs     int       `json:"runs"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Messages int       `json:"messages"`
	Bytes    int64     `json:"bytes"`
	LeftOut  int64     `json:"left_out,omitempty"`
	Done     bool      `json:"done"`
	Already  bool      `json:"already"`
}

func (opts *importOptions) print(st *store.Store, u store.User, r *backup.Imported) {
	if len(r.Runs) == 0 {
		opts.note("%s: %v", u.Name, errNoRun)
		return
	}
	first, last := r.Runs[0], r.Runs[len(r.Runs)-1]
	row := importedUser{User: u.Name, Runs: len(r.Runs), First: first.Begun, Last: last.Begun, LeftOut: r.LeftOut,
		Done: !opts.dryRun && !r.Already, Already: r.Already}
	for _, run := range r.Runs {
		row.Messages, row.Bytes = row.Messages+run.NewMessages, row.Bytes+run.NewBytes
	}
	if r.LeftOut > 0 {
		opts.note("%s: %s at the end are of a run that did not finish, and are left out", u.Name, size(r.LeftOut))
	}
	if r.Index != nil {
		opts.note("%s: it is imported, but its index is not made: %v", u.Name, r.Index)
		opts.hint("backupd reindex --store %s %s", cli.Shell(st.Root), cli.Shell(u.Name))
	}
	if opts.json {
		_ = json.NewEncoder(opts.out).Encode(row)
		return
	}
	what := "imported"
	switch {
	case r.Already:
		what = "in the store already"
	case opts.dryRun:
		what = "to be imported"
	}
	opts.say("%s: %s, %s to %s, %s (%s): %s", u.Name, plural(row.Runs, "run"), first.Date, last.Date, plural(row.Messages, "message"), size(row.Bytes), what)
}
