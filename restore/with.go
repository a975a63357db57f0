package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"backupfs/cyrus"
)

// With says what is brought back beside messages.
type With struct {
	Subscriptions bool // what the user subscribed to
	Seen          bool // what he has seen in others' folders
	Annotations   bool // the METADATA of folders
}

// ParseWith reads a list with commas.
func ParseWith(list string) (w With, err error) {
	for word := range strings.SplitSeq(list, ",") {
		switch word {
		case "subscriptions":
			w.Subscriptions = true
		case "seen":
			w.Seen = true
		case "annotations":
			w.Annotations = true
		default:
			return w, fmt.Errorf("%q is none of subscriptions, seen, annotations", word)
		}
	}
	return w, nil
}

// Subscription is a folder that the user subscribed to.
type Subscription struct {
	Version2 bool       // of the database where it stands
	Own      string     // the archived name, if it is the user's own
	Other    cyrus.Name // else
}

// Subscriber is a Sink that can subscribe its user to folders. It returns to how many he was not.
type Subscriber interface {
	Subscribe(ctx context.Context, list []Subscription, dryRun bool) (int, error)
}

// Seer is a Sink that can take what its user has seen in others' folders: records of the database, by UniqueIDs. It returns how many it had not.
type Seer interface {
	See(ctx context.Context, seen map[string]string, dryRun bool) (int, error)
}

// Annotator is a Place that can take METADATA, in which users are called as the archive calls them. It returns how many it had not.
type Annotator interface {
	Annotate(ctx context.Context, list []cyrus.Annotation, dryRun bool) (int, error)
}

// user brings back what is not in folders. Of subscriptions, those to the selected folders, or all if that is all.
func (w With) user(ctx context.Context, d *Date, s *Selection, to Sink, dryRun bool, r *Result) error {
	var errs []error
	if sink, ok := to.(Subscriber); w.Subscriptions && ok {
		list, err := d.subscriptions(ctx, s)
		if err == nil {
			r.Subscribed, err = sink.Subscribe(ctx, list, dryRun)
		}
		errs = append(errs, err)
	}
	if sink, ok := to.(Seer); w.Seen && ok {
		seen, err := d.userRecords(ctx, "seen")
		if err == nil {
			r.Seen, err = sink.See(ctx, seen, dryRun)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (d *Date) userRecords(ctx context.Context, name string) (map[string]string, error) {
	files, err := d.metas(ctx, 0)
	if err != nil {
		return nil, err
	}
	records, err := cyrus.UserRecords(files[name])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return records, nil
}

func (d *Date) subscriptions(ctx context.Context, s *Selection) (list []Subscription, err error) {
	records, err := d.userRecords(ctx, "sub")
	if err != nil {
		return nil, err
	}
	all, err := d.Folders()
	if err != nil {
		return nil, err
	}
	folders, err := s.folders(all)
	if err != nil {
		return nil, err
	}
	selected := map[string]bool{}
	for _, f := range folders {
		selected[f.Archived] = true
	}
	version2 := records[cyrus.SubVersionKey] == "2"
	for key := range records {
		archived, own := cyrus.Subscribed(key, d.user)
		switch {
		case key == cyrus.SubVersionKey:
		case own && selected[archived]:
			list = append(list, Subscription{Version2: version2, Own: archived})
		case !own && len(s.Folders) == 0:
			list = append(list, Subscription{Version2: version2, Other: cyrus.OtherSubscribed(key, version2)})
		}
	}
	return list, nil
}
