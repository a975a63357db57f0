package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/index"
	"backupfs/internal/store"
)

type listOptions struct {
	store string
	users []string
	json  bool
}

func newList() *cobra.Command {
	var opts listOptions
	cmd := &cobra.Command{
		Use:   "list --store DIR [USER]",
		Short: "List the users of a store, or a user's runs",
		Long: `List the users of a store with their newest date, or a user's runs with what each held.

Dates are those of the mounted tree, in UTC. Exit status: 0, or 1 where there is no such store or user.`,
		Example: `  backupd list --store /srv/backup
  backupd list --store /srv/backup --json brong`,
		Args: cli.Args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.users = args
			return runList(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	addStore(cmd, &opts.store)
	cmd.Flags().BoolVar(&opts.json, "json", false, "print one JSON object")
	return cmd
}

func runList(ctx context.Context, opts listOptions, out io.Writer) error {
	st, err := openStore(opts.store)
	if err != nil {
		return err
	}
	users, err := selectUsers(st, opts.users)
	if err != nil {
		return err
	}
	if len(opts.users) == 1 {
		runs, err := userRuns(ctx, users[0])
		if err != nil {
			return explain(st, users[0], err)
		}
		return printRuns(out, users[0], runs, opts.json)
	}
	var rows []listedUser
	for _, u := range users {
		row, err := listUser(ctx, u)
		if err != nil {
			return explain(st, u, err)
		}
		rows = append(rows, row)
	}
	return printUsers(out, rows, opts.json)
}

// listedRun is one run in --json.
type listedRun struct {
	Run         int       `json:"run"`
	Begun       time.Time `json:"begun"`
	Ended       time.Time `json:"ended"`
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
}

func printRuns(out io.Writer, u store.User, runs []index.Run, asJSON bool) error {
	rows := make([]listedRun, 0, len(runs))
	for _, r := range runs {
		rows = append(rows, listedRun{
			Run: r.Run.Run, Begun: r.Begun, Ended: r.Ended, Date: r.Date, Folders: r.Folders, Messages: r.Messages, Bytes: r.Bytes,
			NewMessages: r.NewMessages, NewBytes: r.NewBytes, Inferred: r.Inferred,
			Skipped: r.Skipped, Missing: r.Missing, Mismatched: r.Mismatched,
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
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%s\t%d\t%s\t%s\n", r.Run, r.Date, r.Folders, r.Messages, size(r.Bytes),
			r.NewMessages, size(r.NewBytes), remarks(r))
	}
	return w.Flush()
}

// remarks says what is odd about a run.
func remarks(r listedRun) (s string) {
	add := func(is bool, format string, args ...any) {
		if is {
			s += "  " + fmt.Sprintf(format, args...)
		}
	}
	add(r.Inferred, "another tool's")
	add(len(r.Skipped) > 0, "%s skipped", plural(len(r.Skipped), "folder"))
	add(r.Missing > 0, "%d missing", r.Missing)
	add(r.Mismatched > 0, "%d mismatched", r.Mismatched)
	return s
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
