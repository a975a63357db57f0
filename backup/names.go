package backup

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"

	"backupfs/archive"
	"backupfs/source"
)

// unlinkVanished removes the names that no mailbox has any more, before any folder is touched, so that a renamed folder loses
// its old name first (cyrus: perl/imap/lib/Cyrus/Backup.pm BackupUser).
func (r *run) unlinkVanished(boxes []source.Mailbox) error {
	present := make(map[string]bool, len(boxes))
	for _, m := range boxes {
		present[m.Archived] = true
	}
	for _, name := range slices.Sorted(maps.Keys(r.names)) {
		if !present[name] {
			if err := r.unlink(name); err != nil {
				return err
			}
		}
	}
	return nil
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

// usableID is what Cyrus makes: a UUID, 24 digits of base 62, or 16 hex digits on old servers.
var usableID = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// folderIDs returns the folder id of each mailbox: its UniqueID. Where it has none, or one that a mailbox before it has already
// (both occur where an admin copied folders by hand), the id is made from the name, so that no mail is left out; such a
// folder begins a new history when it is renamed.
func folderIDs(boxes []source.Mailbox) []string {
	ids := make([]string, len(boxes))
	used := make(map[string]bool, len(boxes))
	for i, m := range boxes {
		id := m.UniqueID
		if used[id] || !usableID.MatchString(id) {
			sum := sha1.Sum([]byte(m.Archived))
			id = "name-" + hex.EncodeToString(sum[:])
		}
		used[id] = true
		ids[i] = id
	}
	return ids
}
