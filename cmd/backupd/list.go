package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
)

type listOptions struct {
	output
	store anyStore
	users []string
}

func newList() *cobra.Command {
	var opts listOptions
	cmd := &cobra.Command{
		Use:   "list --store DIR [USER]",
		Short: "List the users of a store, or a user's runs",
		Long: `List the users of a store with their newest date, or a user's runs with what each held.

Dates are those of the mounted tree, in UTC. A user whose archive is gone or cannot be read is listed as such; of one
that lost the runs at its end, those that are left are listed.` + perlHelp + `

Exit status: 0; 1 where there is no such store or user; 3 if some users could not be read; 5 if an archive is gone, or
has lost runs that its index knows.`,
		Example: `  backupd list --store /srv/backup
  backupd list --store /srv/backup --json brong`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runList(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

func runList(ctx context.Context, opts listOptions) error {
	st, err := opts.store.open(ctx, "list", opts.users)
	if err != nil {
		return err
	}
	if len(opts.users) == 1 {
		return overUsers(ctx, &opts.output, st, opts.users, backup.Runs, func(u store.User, runs []index.Run, err error) error {
			if err == nil && len(runs) == 0 && !opts.json {
				opts.note("%s: %v", u.Name, errNoRun)
			}
			if err == nil || len(runs) > 0 {
				return printRuns(opts.out, u, runs, opts.json)
			}
			return nil
		})
	}
	var rows []listedUser
	err = overUsers(ctx, &opts.output, st, nil, listUser, func(u store.User, row listedUser, err error) error {
		if row.User = u.Name; err != nil && !errors.Is(err, errNoRun) {
			row.Error = err.Error()
		}
		rows = append(rows, row)
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	slices.SortFunc(rows, func(a, b listedUser) int { return cmp.Compare(a.User, b.User) })
	if printErr := printUsers(opts.out, rows, opts.json); printErr != nil {
		return printErr
	}
	return err
}

// listedRun is one run in --json.
type listedRun struct {
	Run         int       `json:"run"`
	Begun       time.Time `json:"begun"`
	Ended       time.Time `json:"ended"`
	Clock       time.Time `json:"clock,omitzero"` // if that was before
	Date        string    `json:"date"`
	Folders     int       `json:"folders"`
	Messages    int       `json:"messages"`
	Bytes       int64     `json:"bytes"`
	NewMessages int       `json:"new_messages"`
	NewBytes    int64     `json:"new_bytes"`
	Inferred    bool      `json:"inferred"`
	Skipped     []string  `json:"skipped,omitempty"`
	Missing     int       `json:"missing,omitempty"`
	Mismatched  int       `json:"mismatched,omitempty"`
	Lost        int       `json:"lost,omitempty"`
}

func printRuns(out io.Writer, u store.User, runs []index.Run, asJSON bool) error {
	rows := make([]listedRun, 0, len(runs))
	for _, r := range runs {
		rows = append(rows, listedRun{
			Run: r.Run.Run, Begun: r.Begun, Ended: r.Ended, Clock: r.Clock, Date: r.Date, Folders: r.Folders, Messages: r.Messages, Bytes: r.Bytes,
			NewMessages: r.NewMessages, NewBytes: r.NewBytes, Inferred: r.Inferred,
			Skipped: r.Skipped, Missing: r.Missing, Mismatched: r.Mismatched, Lost: r.Lost,
		})
	}
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			User string      `json:"user"`
			Runs []listedRun `json:"runs"`
		}{u.Name, rows})
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "RUN\tDATE\tFOLDERS\tMESSAGES\tSIZE\tNEW\tNEW SIZE\t")
	for _, r := range runs {
		remarks := strings.Join(append([]string{""}, cli.Remarks(r.Run)...), "  ")
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%d\t%s\t%s\n", r.Run.Run, r.Date, r.Folders, r.Messages, size(r.Bytes), r.NewMessages, size(r.NewBytes), remarks)
	}
	return w.Flush()
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
