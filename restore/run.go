package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"backupfs/cyrus"
	"backupfs/index"
)

// Options of a Run.
type Options struct {
	// Held, if not nil, looks at more messages that are there already: they are left out, too.
	Held func(context.Context) (Held, error)
	// With says what else is brought back, where the Sink can take it.
	With With
	// Finish has the Sink finish, where it has something to.
	Finish bool
	// DryRun changes nothing. The result is what would be done.
	DryRun bool
	// Progress, if not nil, is told each message.
	Progress func(folder string, messages int, bytes int64)
}

// Result is what a Run did, folder by folder.
type Result struct {
	Folders    []FolderResult
	Subscribed int // folders that the user was not subscribed to any more
	Seen       int // of others' folders whose seen state the server had not

	Back       time.Duration // until all messages were there for their user
	Finishing  time.Duration // of the Sink, behind that; 0: it had nothing to finish, or was not to
	Unfinished error         // what is still to be done, all messages being there
	Left       []string      // what the Sink is still to Finish, all messages being there
}

// FolderResult is what became of one folder.
type FolderResult struct {
	Folder   string            // its archived name
	Place    string            // where its messages are now
	Messages int               // that were brought back
	Bytes    int64             // of these
	Made     bool              // an empty folder was
	Present  int               // that were there already, or not missing
	Metadata int               // entries of its METADATA that were brought back
	UIDs     map[uint32]uint32 // of messages that were brought back, old to new; nil where the place has none
	Problems []error           // of single messages, with their UIDs
	Err      error             // why nothing of the folder was brought back; or, where Messages says that some was, not all
}

// NewUIDs counts the messages whose UID is another now.
func (r *FolderResult) NewUIDs() (n int) {
	for was, is := range r.UIDs {
		if was != is {
			n++
		}
	}
	return n
}

// Run brings the selected messages of a date to a sink. A folder that fails stops no other; an error of Run itself is about all, and the
// result then says what was done.
func Run(ctx context.Context, d *Date, s *Selection, to Sink, o Options) (*Result, error) {
	begun, result := time.Now(), new(Result)
	all, err := d.Folders()
	if err != nil {
		return result, err
	}
	folders, err := s.folders(all)
	if err != nil {
		return result, err
	}
	for _, f := range folders {
		r := runFolder(ctx, d, f, s, to, o)
		if r.Made || r.Metadata > 0 || r.Messages > 0 || r.Present > 0 || len(r.Problems) > 0 || r.Err != nil {
			result.Folders = append(result.Folders, r)
		}
		if ctx.Err() != nil {
			break
		}
	}
	result.Back = time.Since(begun)
	if to, ok := to.(Finisher); ok && !o.DryRun {
		if o.Finish && len(to.Unfinished()) > 0 {
			begun = time.Now()
			result.Unfinished = to.Finish(ctx)
			result.Finishing = time.Since(begun)
		}
		result.Left = to.Unfinished()
	}
	if err := ctx.Err(); err != nil {
		return result, err
	}
	if err := o.With.user(ctx, d, s, to, o.DryRun, result); err != nil {
		return result, err
	}
	return result, d.doubt
}

func runFolder(ctx context.Context, d *Date, is index.Folder, s *Selection, to Sink, o Options) (r FolderResult) {
	r.Folder = is.Archived
	fail := func(err error) FolderResult {
		r.Messages, r.Bytes, r.UIDs, r.Made, r.Err = 0, 0, nil, false, err
		return r
	}
	f, err := d.Folder(ctx, is)
	if err != nil {
		return fail(err)
	}
	place, err := to.Place(ctx, f)
	if err != nil {
		return fail(err)
	}
	defer func() { r.Err = errors.Join(r.Err, place.Close()) }()
	r.Place = place.Name()
	held, err := o.held(ctx, place)
	if err != nil {
		return fail(err)
	}
	for m, err := range d.Messages(ctx, f, s) {
		if m == nil {
			return fail(err)
		}
		here := false
		if err == nil {
			if here, err = o.bring(m, held, place); err != nil {
				err = fmt.Errorf("UID %d: %w", m.Record.UID, err)
			}
		}
		switch {
		case errors.Is(err, ErrBroken):
			r.Err = err
		case err != nil:
			r.Problems = append(r.Problems, err)
		case here:
			r.Present++
		default:
			r.Messages++
			r.Bytes += int64(m.Record.Size)
			if o.Progress != nil {
				o.Progress(r.Folder, r.Messages, r.Bytes)
			}
		}
		if r.Err != nil {
			break
		}
	}
	if r.Err != nil && r.Messages == 0 {
		return fail(r.Err)
	}
	r.Made = place.Absent() && s.whole() && r.Messages+r.Present+len(r.Problems) == 0
	if (r.Made || r.Messages > 0) && !o.DryRun {
		uids, err := place.Commit(ctx)
		if err != nil && uids == nil {
			return fail(err)
		}
		r.UIDs, r.Err = uids, errors.Join(r.Err, err)
	}
	there := r.Made || r.Messages > 0 || !place.Absent()
	if to, ok := place.(Annotator); ok && o.With.Annotations && r.Err == nil && there && len(f.metadata) > 0 {
		list, err := cyrus.ParseAnnotations(f.metadata)
		if err == nil {
			r.Metadata, err = to.Annotate(ctx, list, o.DryRun)
		}
		r.Err = err
	}
	return r
}

// bring puts a message to its place, unless it is there.
func (o *Options) bring(m *Message, held Held, place Place) (here bool, err error) {
	if here, err = held(m); here || err != nil || o.DryRun {
		return here, err
	}
	return false, place.Put(m)
}

// held is what a place holds, and what else is left out.
func (o *Options) held(ctx context.Context, place Place) (Held, error) {
	held, err := place.Has(ctx)
	if err != nil || o.Held == nil {
		return held, err
	}
	more, err := o.Held(ctx)
	if err != nil {
		return nil, err
	}
	return func(m *Message) (bool, error) {
		if here, err := held(m); here || err != nil {
			return here, err
		}
		return more(m)
	}, nil
}
