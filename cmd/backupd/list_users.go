package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"backupfs/backup"
	"backupfs/cmd/internal/cli"
	"backupfs/internal/store"
)

// listedUser is one user in --json.
type listedUser struct {
	User         string `json:"user"`
	Runs         int    `json:"runs"`
	Newest       string `json:"newest,omitempty"`
	Folders      int    `json:"folders"`
	Messages     int    `json:"messages"`
	Bytes        int64  `json:"bytes"`
	ArchiveBytes int64  `json:"archive_bytes"`
	IndexBytes   int64  `json:"index_bytes"`
	DamagedFiles int    `json:"damaged_files,omitempty"` // that repairs have left beside the archive
	DamagedBytes int64  `json:"damaged_bytes,omitempty"`
	Error        string `json:"error,omitempty"` // why the archive cannot be read; the rest is what is known all the same
}

func listUser(ctx context.Context, u store.User) (row listedUser, err error) {
	if aside, err := backup.Asides(u); err == nil { // else there is more to be said below
		row.DamagedFiles, row.DamagedBytes = aside.Files, aside.Bytes
	}
	err = u.Read(func(path string) error {
		info, err := os.Stat(path)
		if err == nil {
			row.ArchiveBytes = info.Size()
		}
		return err
	})
	if err != nil {
		return row, err
	}
	if info, err := os.Stat(u.Index()); err == nil {
		row.IndexBytes = info.Size()
	}
	runs, err := backup.Runs(ctx, u)
	if row.Runs = len(runs); row.Runs > 0 {
		last := runs[row.Runs-1]
		row.Newest, row.Folders, row.Messages, row.Bytes = last.Date, last.Folders, last.Messages, last.Bytes
	}
	return row, err
}

func printUsers(out io.Writer, rows []listedUser, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(struct {
			Users []listedUser `json:"users"`
		}{append([]listedUser{}, rows...)})
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "USER\tRUNS\tNEWEST\tMESSAGES\tSIZE\tARCHIVE\tINDEX")
	for _, r := range rows {
		if r.Error != "" && r.Runs == 0 {
			fmt.Fprintf(w, "%s\t?\tunreadable\t\t\t\t\n", cli.Clean(r.User)) // why is on stderr
			continue
		}
		kept := ""
		if r.DamagedFiles > 0 {
			kept = fmt.Sprintf("\tand %s of before repairs, %s", plural(r.DamagedFiles, "damaged archive"), size(r.DamagedBytes))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\t%s%s\n", cli.Clean(r.User), r.Runs, cmp.Or(r.Newest, "-"), r.Messages, size(r.Bytes),
			size(r.ArchiveBytes), size(r.IndexBytes), kept)
	}
	return w.Flush()
}
