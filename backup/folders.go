package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"backupfs/source"
)

// maxRounds is how often a run lists the mailboxes again because one of them was gone when its turn came. A folder that was
// renamed in between, in the layout by names, is found by the next round.
const maxRounds = 3

// folders brings the archive's folders and names to what the server has.
func (r *run) folders(ctx context.Context) error {
	done := make(map[string]bool) // folder ids
	given := make(map[string]givenID)
	defer r.announce(nil, nil)
	for round := 1; ; round++ {
		boxes, err := r.list(ctx)
		if err != nil {
			return err
		}
		again := false
		ids := folderIDs(boxes, r.names, given)
		r.announce(boxes, ids)
		for i, m := range boxes {
			id := ids[i]
			r.now.Folder, r.now.FoldersDone, r.now.Folders = m.Archived, i, len(boxes)
			r.progress()
			if done[id] {
				err = r.place(m.Archived, id)
			} else {
				err = r.folder(ctx, m, id)
			}
			switch {
			case errors.Is(err, source.ErrGone) && round < maxRounds:
				again = true
				continue
			case errors.Is(err, source.ErrGone):
				err = r.skip(m.Archived, id, err)
			}
			if err != nil {
				return err
			}
			done[id] = true
		}
		if !again {
			r.tellDoubted()
			slices.Sort(r.marker.Skipped)
			return nil
		}
	}
}

// announce tells the source what of these folders will be fetched.
func (r *run) announce(boxes []source.Mailbox, ids []string) {
	a, ok := r.src.(source.Announcer)
	if !ok {
		return
	}
	var next []source.Mailbox
	for i, m := range boxes {
		if !r.unchanged(m, ids[i]) {
			next = append(next, m)
		}
	}
	a.Announce(r.user.Name, next)
}

// unchanged says that the archive has a folder as it is.
func (r *run) unchanged(m source.Mailbox, id string) bool {
	return m.Fingerprint != "" && m.Fingerprint == r.states[id].Fingerprint && r.hasIndex(id)
}

// folder brings one folder to what the server has. source.ErrGone if it vanished after it was listed; any other error, as one that
// the source itself cannot be reached, ends the run.
func (r *run) folder(ctx context.Context, m source.Mailbox, id string) error {
	if r.unchanged(m, id) {
		r.result.Current++
		return r.place(m.Archived, id)
	}
	err := r.fetch(ctx, m, id, r.states[id])
	switch {
	case r.fatal != nil:
		return r.fatal
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, source.ErrGone), errors.Is(err, source.ErrLost):
		return err
	case err != nil: // it is locked, or damaged
		return r.skip(m.Archived, id, err)
	}
	r.result.Current++
	return r.place(m.Archived, id)
}

// skip leaves a folder as the run before left it, tells why, and lets the others go on.
func (r *run) skip(name, id string, why error) error {
	r.problem(name, 0, why)
	r.marker.Skipped = append(r.marker.Skipped, name)
	return r.place(name, id)
}

// place makes a folder's name stand for it; if the archive has nothing of the folder, for no other either.
func (r *run) place(name, id string) error {
	if r.hasIndex(id) {
		return r.link(name, id)
	}
	return r.unlink(name)
}

// hasIndex says that the archive has a cyrus.index of a folder, of this run or one before.
func (r *run) hasIndex(id string) bool {
	_, now := r.sums[id]
	_, before := r.states[id].Metas["cyrus.index"]
	return now || before
}

func (r *run) progress() {
	if r.opts.Progress != nil {
		r.now.Messages, r.now.Bytes = r.marker.NewMessages, r.marker.NewBytes
		r.opts.Progress(r.now)
	}
}

// wrap names the folder in an error.
func wrap(m source.Mailbox, err error) error { return fmt.Errorf("%s: %w", m.Archived, err) }
