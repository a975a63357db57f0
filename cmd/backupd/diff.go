package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/history"
)

type diffOptions struct {
	output
	store          anyStore
	user, from, to string
}

func newDiff() *cobra.Command {
	var opts diffOptions
	cmd := &cobra.Command{
		Use:   "diff --store DIR USER DATE DATE",
		Short: "Say what changed from one date to another",
		Long: `Say which folders and messages of a user came, went, and moved from one date to another, and whose flags changed, as IMAP
showed them. A date is named as in the mounted tree (2026-11-23, 2026-11-23T1105Z, latest), or today, or yesterday, in UTC.

A folder is told by its UniqueID: one that was renamed is shown so, and its messages only if they changed besides. A message that went
from one place and came to another with the same bytes has moved. A folder that the server only keeps as deleted went.

Exit status: 0, whether anything changed or not; 1 where there is no such store, user or date; 5 if something is damaged in the
archive, and was left out.`,
		Example: `  backupd diff --store /srv/backup brong yesterday latest
  backupd diff --store /srv/backup --json brong 2026-11-16 2026-11-23`,
		Args: cli.Args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user, opts.from, opts.to = args[0], args[1], args[2]
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runDiff(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

func runDiff(ctx context.Context, opts diffOptions) error {
	return onPast(ctx, &opts.output, "diff", &opts.store, opts.user, func(p *history.Past) error {
		now := time.Now()
		from, err := p.Run(opts.from, now)
		if err != nil {
			return err
		}
		to, err := p.Run(opts.to, now)
		if err != nil {
			return err
		}
		d, err := p.Diff(ctx, from.Run.Run, to.Run.Run)
		if err != nil {
			return err
		}
		if opts.json {
			return printDiffJSON(&opts, from.Date, to.Date, d)
		}
		printDiff(&opts.output, d)
		return nil
	})
}

func printDiff(o *output, d *history.Diff) {
	for _, f := range d.Folders {
		o.say("%s folder %s", f.Kind, arrow(f.From, f.To))
	}
	for _, m := range d.Messages {
		var words []string
		for _, f := range m.Added {
			words = append(words, "+"+f)
		}
		for _, f := range m.Removed {
			words = append(words, "-"+f)
		}
		from, to := path(m.From), path(m.To)
		if m.Kind == history.Flagged {
			from = "" // its folder may have another name; that was said
		}
		o.say("%s", strings.Join(append([]string{string(m.Kind), arrow(from, to)}, words...), " "))
	}
}

func arrow(from, to string) string {
	if from != "" && to != "" {
		return from + " -> " + to
	}
	return from + to
}

// path is a message's path below a date; empty for none.
func path(p history.Place) string {
	if p.Folder == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d.", p.Folder, p.UID)
}

// diffed is a diff in --json.
type diffed struct {
	User     string          `json:"user"`
	From     string          `json:"from"`
	To       string          `json:"to"`
	Folders  []diffedFolder  `json:"folders"`
	Messages []diffedMessage `json:"messages"`
}

type diffedFolder struct {
	Change history.Kind `json:"change"`
	From   string       `json:"from,omitempty"`
	To     string       `json:"to,omitempty"`
}

type diffedMessage struct {
	Change history.Kind `json:"change"`
	From   *jsonPlace   `json:"from,omitempty"`
	To     *jsonPlace   `json:"to,omitempty"`
	jsonMessage
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

func printDiffJSON(opts *diffOptions, from, to string, d *history.Diff) error {
	j := diffed{opts.user, from, to, []diffedFolder{}, []diffedMessage{}}
	for _, f := range d.Folders {
		j.Folders = append(j.Folders, diffedFolder{f.Kind, f.From, f.To})
	}
	for _, m := range d.Messages {
		j.Messages = append(j.Messages, diffedMessage{m.Kind, placeJSON(m.From), placeJSON(m.To), messageJSON(m.Message), m.Added, m.Removed})
	}
	return json.NewEncoder(opts.out).Encode(j)
}
