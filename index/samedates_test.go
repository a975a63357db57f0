package index_test

import (
	"path/filepath"
	"slices"
	"testing"

	"backupfs/index"
	"backupfs/index/indextest"
)

// busyDays are runs of which each changes something of each kind.
func busyDays(n int) []indextest.Run {
	runs := days(n, "2009-09-27")
	for i := range runs {
		r := &runs[i]
		r.Folders = slices.Clone(r.Folders)
		r.Seen, r.Sub = "seen", "sub"
		inbox := indextest.Folder{UniqueID: "inbox", Name: "INBOX", Keywords: []string{"a"}}
		for uid := range uint32(5) {
			inbox.Messages = append(inbox.Messages, indextest.Message{UID: uid + 1, Body: "message", Date: 1254000000 + int64(uid)})
		}
		inbox.Messages[0].Body = "another"
		inbox.Messages[1].Missing, inbox.Messages[1].Body = true, "missing"
		inbox.Messages[2].Claims, inbox.Messages[2].Body = "claimed", "found"
		inbox.Messages[3].Expunged = i > 0
		r.Folders = []indextest.Folder{inbox, {UniqueID: "work", Name: "INBOX.Work", Messages: inbox.Messages[:1]}}
	}
	runs[n-1].Folders[1].Name = "INBOX.Renamed"
	return runs
}

// TestSameDates: whatever an index says otherwise is found, and nothing else.
func TestSameDates(t *testing.T) {
	dir := indextest.Store(t)
	indextest.Archive(t, dir, busyDays(4)...)
	is := filepath.Join(dir, "index.sqlite3")
	compare := func(tamper string) error {
		t.Helper()
		other := filepath.Join(t.TempDir(), "index.sqlite3")
		mustWrite(t, other, mustReadFile(t, is))
		mustTamper(t, other, tamper)
		was, now := mustOpenRead(t, is), mustOpenRead(t, other)
		return index.SameDates(was, now)
	}
	for _, same := range []string{
		"SELECT 1",
		"DELETE FROM runs WHERE run = 2", // a date is gone
		"DELETE FROM runs WHERE run < 3; DELETE FROM messages WHERE last < 3; DELETE FROM names WHERE last < 3; UPDATE messages SET first = 3 WHERE first < 3",
		"DELETE FROM runs WHERE run IN (1, 2)",
		"UPDATE messages SET id = id + 1000",
	} {
		if err := compare(same); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
	for _, other := range []string{
		"UPDATE runs SET begun = begun + 1 WHERE run = 2", "UPDATE runs SET ended = ended + 1 WHERE run = 2", "UPDATE runs SET folders = folders + 1 WHERE run = 2",
		"UPDATE runs SET missing = missing + 1 WHERE run = 1", "UPDATE runs SET new_bytes = new_bytes + 1 WHERE run = 4", "UPDATE runs SET run = 9 WHERE run = 4",
		"UPDATE names SET last = 2 WHERE archived = 'INBOX'", "UPDATE names SET first = 2 WHERE archived = 'INBOX'", "DELETE FROM names WHERE archived = 'INBOX.Renamed'",
		"UPDATE names SET archived = 'INBOX.Other' WHERE archived = 'INBOX.Work'",
		"UPDATE folders SET uniqueid = 'other' WHERE uniqueid = 'work'",
		"DELETE FROM metas WHERE name = 'seen'", "DELETE FROM metas WHERE name = 'cyrus.header'", "UPDATE metas SET size = size + 1 WHERE name = 'cyrus.index'",
		"UPDATE metas SET sha1 = zeroblob(20) WHERE name = 'cyrus.header'", "UPDATE metas SET mtime = mtime + 1 WHERE name = 'sub'", "UPDATE metas SET last = 3 WHERE name = 'cyrus.header'",
		"DELETE FROM messages WHERE uid = 5", "UPDATE messages SET uid = 6 WHERE uid = 5", "UPDATE messages SET expunged = 1 - expunged WHERE uid = 4",
		"UPDATE messages SET missing = 0", "UPDATE messages SET internaldate = 1 WHERE uid = 1", "UPDATE messages SET last = 3 WHERE uid = 1", "UPDATE messages SET first = 2 WHERE uid = 1",
		"UPDATE messages SET file = (SELECT file FROM messages WHERE uid = 5) WHERE uid = 1", "UPDATE files SET tar = NULL", "UPDATE files SET mtime = mtime + 1", "UPDATE files SET size = size + 1 WHERE tar IS NOT NULL",
		"UPDATE files SET tar = 7 WHERE tar IS NULL",
		"INSERT INTO messages SELECT folder, 77, first, last, id + 1000, expunged, missing, file, internaldate FROM messages WHERE uid = 1",
		"UPDATE folders SET fingerprint = ''", "UPDATE folders SET exceptions = CAST('backupfs-folder 1' || char(10) AS BLOB)",
	} {
		if err := compare(other); err == nil {
			t.Errorf("%s: nothing is found", other)
		}
	}
}
