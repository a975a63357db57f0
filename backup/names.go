package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"backupfs/archive"
	"backupfs/source"
)

// list lists the mailboxes, and removes the names that are gone for certain, before any folder is touched, so that a renamed
// folder loses its old name first (cyrus: perl/imap/lib/Cyrus/Backup.pm BackupUser). A name of which that is not certain is
// skipped: what it stands for stays as the run before left it.
func (r *run) list(ctx context.Context) ([]source.Mailbox, error) {
	answers := make(map[source.Known]error) // of what the source was asked about
	for {
		boxes, err := r.src.Mailboxes(ctx, r.user.Name)
		if err != nil {
			return nil, r.nobody(ctx, err)
		}
		vanished := r.notAmong(boxes)
		had := slices.DeleteFunc(slices.Clone(vanished), func(k source.Known) bool {
			_, asked := answers[k]
			return asked
		})
		if len(had) == 0 {
			return boxes, r.unlinkVanished(vanished, answers)
		}
		why, err := r.src.Vanished(ctx, r.user.Name, had)
		if err != nil {
			return nil, err
		}
		for i, k := range had {
			answers[k] = why[i]
		}
	}
}

// nobody is the error of a run whose user the server does not know: source.ErrNoUser if all that the archive has of him is
// gone for certain. Other errors it returns as they are.
func (r *run) nobody(ctx context.Context, err error) error {
	if !errors.Is(err, source.ErrNoUser) {
		return err
	}
	had := r.notAmong(nil)
	why, askErr := r.src.Vanished(ctx, r.user.Name, had)
	if askErr != nil {
		return askErr
	}
	for i, k := range had {
		if why[i] != nil {
			return fmt.Errorf("%s: %w: %w", k.Archived, ErrDoubt, why[i])
		}
	}
	return err
}

// notAmong returns what the archive has a name for and no mailbox has, sorted.
func (r *run) notAmong(boxes []source.Mailbox) (had []source.Known) {
	present := make(map[string]bool, len(boxes))
	for _, m := range boxes {
		present[m.Archived] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.names)) {
		if !present[name] {
			had = append(had, source.Known{Archived: name, UniqueID: knownID(r.names[name])})
		}
	}
	return had
}

// unlinkVanished removes the names that are gone for certain, and notes the others. It forgets those of the list before: another mailbox
// may have got a name that was in doubt.
func (r *run) unlinkVanished(had []source.Known, answers map[source.Known]error) error {
	clear(r.doubted)
	for _, k := range had {
		if why := answers[k]; why != nil {
			r.doubted[k.Archived] = why
		} else if err := r.unlink(k.Archived); err != nil {
			return err
		}
	}
	return nil
}

// tellDoubted says which names stay because nobody is sure.
func (r *run) tellDoubted() {
	for _, name := range slices.Sorted(maps.Keys(r.doubted)) {
		r.problem(name, 0, fmt.Errorf("%w: %w", ErrDoubt, r.doubted[name]))
		r.marker.Skipped = append(r.marker.Skipped, name)
	}
}

// link makes name stand for a folder, if it does not yet.
func (r *run) link(name, id string) error {
	if r.names[name] == id {
		return nil
	}
	_, err := r.app.Add(r.linkEntry(name, id), bytes.NewReader(nil))
	r.names[name] = id
	return err
}

// unlink removes a name, if there is one.
func (r *run) unlink(name string) error {
	if _, ok := r.names[name]; !ok {
		return nil
	}
	_, err := r.app.Add(r.linkEntry(name, ""), bytes.NewReader(nil))
	delete(r.names, name)
	return err
}

func (r *run) linkEntry(name, id string) archive.Entry {
	return archive.Entry{Name: "imap/" + name + "/", Linkname: id, Type: archive.TypeLink, Mtime: r.begun.Unix()}
}

// usableID says that an id is as those that Cyrus makes: a UUID, 24 digits of base 62, or 16 hex digits on old servers.
func usableID(id string) bool {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"
	return 0 < len(id) && len(id) <= 80 && strings.Trim(id, letters) == ""
}

// madeID begins an id that is made from a name.
const madeID = "name-"

// knownID is the UniqueID that the server knows a folder by, empty if there is none.
func knownID(id string) string {
	if strings.HasPrefix(id, madeID) {
		return ""
	}
	return id
}

// givenID is the folder id that a mailbox got in a round of a run.
type givenID struct{ uniqueID, id string }

// folderIDs returns the folder id of each mailbox: its UniqueID. Where it has none, or one that a mailbox before it has already
// (both occur where an admin copied folders by hand), the id is made from the name, so that no mail is left out; such a
// folder begins a new history when it is renamed.
//
// A mailbox of which the source cannot tell the UniqueID, its header being damaged or out of reach, is what its name stands for in names,
// unless that has got another name.
//
// given is what the rounds before gave, by archived name, and is added to: which of two mailboxes has their UniqueID
// does not change within a run, or one would be taken for the other that was fetched already.
func folderIDs(boxes []source.Mailbox, names map[string]string, given map[string]givenID) []string {
	ids := make([]string, len(boxes))
	used := make(map[string]bool, len(boxes))
	listed := make(map[string]bool, len(boxes))
	for i, m := range boxes {
		listed[m.UniqueID] = true
		if g, ok := given[m.Archived]; ok && g.uniqueID == m.UniqueID {
			ids[i], used[g.id] = g.id, true
		}
	}
	for i, m := range boxes {
		if ids[i] != "" {
			continue
		}
		id := m.UniqueID
		if id == "" && !listed[names[m.Archived]] {
			id = names[m.Archived]
		}
		if used[id] || !usableID(id) {
			sum := sha1.Sum([]byte(m.Archived))
			id = madeID + hex.EncodeToString(sum[:])
		}
		ids[i], used[id], given[m.Archived] = id, true, givenID{m.UniqueID, id}
	}
	return ids
}
