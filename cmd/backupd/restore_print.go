package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
	"backupfs/restore"
)

// restored is the summary in --json.
type restored struct {
	User       string           `json:"user"`
	DryRun     bool             `json:"dry_run"`
	Subscribed int              `json:"subscribed,omitempty"`
	Seen       int              `json:"seen,omitempty"`
	Folders    []restoredFolder `json:"folders"`
	Back       float64          `json:"back_seconds,omitempty"`   // until all messages were there, of a restore to live mail
	Finishing  float64          `json:"finish_seconds,omitempty"` // of the server's own tools, behind that
	Unfinished string           `json:"unfinished,omitempty"`
	Behind     []string         `json:"behind,omitempty"` // mailboxes that are finished in the background
}

type restoredFolder struct {
	Folder   string            `json:"folder"`
	Place    string            `json:"place"`
	Messages int               `json:"messages"`
	Bytes    int64             `json:"bytes"`
	Present  int               `json:"present"`
	Made     bool              `json:"made,omitempty"`
	Metadata int               `json:"metadata,omitempty"`
	UIDs     map[uint32]uint32 `json:"uids,omitempty"`
	Problems []string          `json:"problems,omitempty"`
	Error    string            `json:"error,omitempty"`
}

// report tells what became of each folder, and returns what the call ends with: err, or what was wrong with some.
func (opts *restoreOptions) report(result *restore.Result, err error) error {
	if result == nil {
		return err
	}
	summary := restored{User: opts.user, DryRun: opts.dryRun, Subscribed: result.Subscribed, Seen: result.Seen, Folders: []restoredFolder{}}
	if result.Finishing > 0 || len(result.Left) > 0 {
		summary.Back, summary.Finishing = result.Back.Seconds(), result.Finishing.Seconds()
	}
	if result.Unfinished == nil {
		summary.Behind = result.Left
	}
	messages, bytes, present := 0, int64(0), 0
	var wrong []error
	for i := range result.Folders {
		r := &result.Folders[i]
		messages, bytes, present = messages+r.Messages, bytes+r.Bytes, present+r.Present
		for _, p := range r.Problems {
			opts.note("%s: %s: %v", opts.user, r.Folder, p)
		}
		wrong = append(wrong, r.Problems...)
		if r.Err != nil {
			opts.note("%s: %s: %v", opts.user, r.Folder, r.Err)
			wrong = append(wrong, r.Err)
		}
		if opts.json {
			summary.Folders = append(summary.Folders, folderSummary(r))
		} else if r.Err == nil || r.Messages > 0 || r.Made || r.Metadata > 0 {
			opts.say("%s", opts.line(r))
		}
	}
	if result.Unfinished != nil {
		opts.note("%s: %v", opts.user, result.Unfinished)
		wrong = append(wrong, result.Unfinished)
		summary.Unfinished = result.Unfinished.Error()
	}
	if opts.json {
		_ = json.NewEncoder(opts.out).Encode(summary)
	} else {
		opts.say("%s: %s%s", opts.user, opts.counts(messages, bytes, present), beside(result))
	}
	if err != nil || len(wrong) == 0 {
		return err
	}
	return opts.ending(errors.Join(wrong...), messages+present > 0)
}

// ending is the error of a call that could not bring all back; what is wrong was told.
func (opts *restoreOptions) ending(wrong error, some bool) error {
	err := cli.ErrPartial
	switch {
	case errors.Is(wrong, archive.ErrDamaged):
		err = archive.ErrDamaged
	case !some:
		err = errors.New("nothing was brought back")
	}
	return fmt.Errorf("%s: %w", opts.user, err)
}

// beside is what was brought back beside messages, and how long it took.
func beside(r *restore.Result) (text string) {
	if r.Subscribed > 0 {
		text += ", " + plural(r.Subscribed, "subscription")
	}
	if r.Seen > 0 {
		text += ", what was seen in " + plural(r.Seen, "folder") + " of others"
	}
	if len(r.Left) > 0 && r.Unfinished == nil {
		text += fmt.Sprintf(", back in %.1f s; the server fills its cache of %s in the background", r.Back.Seconds(), plural(len(r.Left), "folder"))
	}
	if r.Finishing > 0 {
		text += fmt.Sprintf(", back in %.1f s; the server's cache and quota took %.1f s behind that", r.Back.Seconds(), r.Finishing.Seconds())
	}
	return text
}

func (opts *restoreOptions) line(r *restore.FolderResult) string {
	if r.Made {
		return fmt.Sprintf("%s: %s, empty", r.Folder, r.Place)
	}
	line := fmt.Sprintf("%s: %s to %s", r.Folder, opts.counts(r.Messages, r.Bytes, r.Present), r.Place)
	if r.Metadata > 0 {
		line += ", " + plural(r.Metadata, "value") + " of METADATA"
	}
	switch n := r.NewUIDs(); {
	case len(r.UIDs) == 0:
	case n == 0:
		line += ", under their UIDs"
	default:
		line += ", " + plural(n, "new UID")
	}
	return line
}

func (opts *restoreOptions) counts(messages int, bytes int64, present int) string {
	text := fmt.Sprintf("%s (%s)", plural(messages, "message"), size(bytes))
	if opts.dryRun {
		text += " would be brought back"
	}
	if present > 0 {
		text += fmt.Sprintf(", %d there already", present)
	}
	return text
}

func folderSummary(r *restore.FolderResult) restoredFolder {
	f := restoredFolder{Folder: r.Folder, Place: r.Place, Messages: r.Messages, Bytes: r.Bytes, Present: r.Present, Made: r.Made, Metadata: r.Metadata, UIDs: r.UIDs}
	for _, p := range r.Problems {
		f.Problems = append(f.Problems, p.Error())
	}
	if r.Err != nil {
		f.Error = strings.TrimSpace(r.Err.Error())
	}
	return f
}
