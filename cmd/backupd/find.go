package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/history"
	"backupfs/match"
)

type findOptions struct {
	output
	store       anyStore
	user, match string
}

func newFind() *cobra.Command {
	var opts findOptions
	cmd := &cobra.Command{
		Use:   "find --store DIR USER --match TERMS",
		Short: "Find messages on all dates",
		Long: `Find all messages of a user that any date has and for which all terms hold, and say where they stood, and on which dates first and
last. The message is LAST/MESSAGE in the mounted tree. Terms are separated by blanks; a value with blanks is in double quotes:

  from:x to:x cc:x subject:"x y" message-id:x   the header field holds it, whatever its case
  since:2026-11-01 before:2026-11-08            the internal date, in UTC: from that day on, and before it
  larger:10MB smaller:5000                      bytes
  flag:seen flag:$Label1                        the message had the flag when it was there last

Exit status: 0, whether any was found or not; 1 where there is no such store or user; 2 for terms that make no sense; 5 if something is
damaged in the archive, and was left out.`,
		Example: `  backupd find --store /srv/backup brong --match 'from:anna subject:contract since:2026-11-01'
  backupd find --store /srv/backup --json brong --match flag:flagged`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user = args[0]
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runFind(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	cmd.Flags().StringVar(&opts.match, "match", "", "what must hold for a message: `TERMS`")
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

func runFind(ctx context.Context, opts findOptions) error {
	e, err := match.Parse(opts.match, time.UTC)
	if err != nil {
		return cli.WithHint(cli.Usagef("--match: %v", err), "backupd find --help")
	}
	return onPast(ctx, &opts.output, "find", &opts.store, opts.user, func(p *history.Past) error {
		found, err := p.Find(ctx, e)
		switch {
		case err != nil:
			return err
		case opts.json:
			return printFoundJSON(&opts, found)
		case len(found) == 0:
			opts.note("%s: no date has such a message", opts.user)
			return nil
		}
		return printFound(&opts, found)
	})
}

func printFound(opts *findOptions, found []history.Found) error {
	w := tabwriter.NewWriter(opts.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FIRST\tLAST\tRECEIVED\tSIZE\tMESSAGE")
	for _, f := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.First, f.Last, stamp(f.Message.InternalDate), size(f.Message.Size), cli.Clean(path(f.Place)))
	}
	return w.Flush()
}

// foundMessage is a message in --json.
type foundMessage struct {
	jsonPlace
	First string `json:"first"`
	Last  string `json:"last"`
	jsonMessage
}

func printFoundJSON(opts *findOptions, found []history.Found) error {
	list := make([]foundMessage, 0, len(found))
	for _, f := range found {
		list = append(list, foundMessage{jsonPlace(f.Place), f.First, f.Last, messageJSON(f.Message)})
	}
	return json.NewEncoder(opts.out).Encode(struct {
		User     string         `json:"user"`
		Messages []foundMessage `json:"messages"`
	}{opts.user, list})
}
