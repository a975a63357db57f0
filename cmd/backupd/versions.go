package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/history"
)

type versionsOptions struct {
	output
	store        anyStore
	user, folder string
	uid          uint32
}

func newVersions() *cobra.Command {
	var opts versionsOptions
	cmd := &cobra.Command{
		Use:   "versions --store DIR USER FOLDER UID",
		Short: "Say on which dates a message stood, with which flags, and where else",
		Long: `Say on which dates a message stood in a folder, with which flags, and where else the same message stood before, after and
meanwhile. The folder is named as in the mounted tree (INBOX/Drafts) or as in the archive (INBOX.Drafts).

If the UID was given to several messages (the folder was deleted and made anew, or the server was restored), all are told.

Exit status: 0; 1 where there is no such store, user, folder or message; 2 for what is no UID; 5 if something is damaged in the
archive, and was left out.`,
		Example: `  backupd versions --store /srv/backup brong INBOX/Drafts 17
  backupd versions --store /srv/backup --json brong INBOX 17`,
		Args: cli.Args(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user, opts.folder = args[0], strings.TrimSuffix(args[1], "/")
			uid, err := strconv.ParseUint(strings.TrimSuffix(args[2], "."), 10, 32)
			if err != nil || uid == 0 {
				return cli.Usagef("%s is no UID", args[2])
			}
			opts.uid = uint32(uid)
			if err := opts.start(cmd); err != nil {
				return err
			}
			return runVersions(cmd.Context(), opts)
		},
	}
	opts.store.addFlags(cmd)
	opts.addJSON(cmd, "print one JSON object")
	return cmd
}

func runVersions(ctx context.Context, opts versionsOptions) error {
	return onPast(ctx, &opts.output, "versions", &opts.store, opts.user, func(p *history.Past) error {
		versions, err := p.Versions(ctx, opts.folder, opts.uid)
		switch {
		case err != nil:
			return err
		case opts.json:
			return printVersionsJSON(&opts, versions)
		}
		return printVersions(&opts, versions)
	})
}

func printVersions(opts *versionsOptions, versions []history.Version) error {
	for _, v := range versions {
		opts.say("%s, %s, received %s", v.Message.GUID, size(v.Message.Size), stamp(v.Message.InternalDate))
		w := tabwriter.NewWriter(opts.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "FIRST\tLAST\tDATES\tMESSAGE\tFLAGS")
		for _, s := range v.Stood {
			flags := strings.Join(s.Flags, " ")
			if s.Flags == nil {
				flags = "?"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.First, s.Last, s.Dates, cli.Clean(path(s.Place)), cli.Clean(flags))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// version is a message in --json.
type version struct {
	jsonMessage
	Stood []stretch `json:"stood"`
}

type stretch struct {
	jsonPlace
	First string   `json:"first"`
	Last  string   `json:"last"`
	Dates int      `json:"dates"`
	Flags []string `json:"flags"` // null: they could not be read
}

func printVersionsJSON(opts *versionsOptions, versions []history.Version) error {
	list := make([]version, 0, len(versions))
	for _, v := range versions {
		j := version{messageJSON(v.Message), []stretch{}}
		for _, s := range v.Stood {
			j.Stood = append(j.Stood, stretch{jsonPlace(s.Place), s.First, s.Last, s.Dates, s.Flags})
		}
		list = append(list, j)
	}
	return json.NewEncoder(opts.out).Encode(struct {
		User     string    `json:"user"`
		Messages []version `json:"messages"`
	}{opts.user, list})
}
