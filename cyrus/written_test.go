package cyrus_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/internal/truth"
)

// TestServerTakesWritten writes the index and header of a live mailbox in each version that this server knows, and looks that it
// shows the same messages, that none of its tools finds anything to say, and that the mailbox can be written to. Once more with
// records that have nothing but what a message is.
func TestServerTakesWritten(t *testing.T) {
	l := cyruslab.Start(t, cyruslab.Options{})
	for _, version := range []uint32{9, 10, 12, 13, 14, 15, 16, 17} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("version %d, old header %v", version, old), func(t *testing.T) {
				takesWritten(t, l, fmt.Sprintf("u%d%v", version, old), func(h *cyrus.Header, ix *cyrus.Index) {
					h.Old = old
					ix.Version, ix.RecordSize = version, 0
					if version < 12 { // expunged ones were in a file of their own
						ix.Records = slices.DeleteFunc(ix.Records, func(r cyrus.Record) bool { return r.Expunged() })
					}
				})
			})
		}
	}
	t.Run("bare records", func(t *testing.T) {
		takesWritten(t, l, "bare", func(_ *cyrus.Header, ix *cyrus.Index) {
			for i := range ix.Records {
				r := &ix.Records[i]
				ix.Records[i] = cyrus.Record{UID: r.UID, InternalDate: r.InternalDate, Size: r.Size, SystemFlags: r.SystemFlags,
					UserFlags: r.UserFlags, Modseq: r.Modseq, GUID: r.GUID}
			}
		})
	})
}

// unfilled is what we leave to reconstruct: sums for replication, which depend on the fields that a version has, and what can be
// read in the message, where the version lacks it or the record is bare.
var unfilled = regexp.MustCompile(`: updating sync_crc|^user\.u(9|10)\w+ uid \d+ mismatch: gmtime$|^user\.bare uid \d+ mismatch: (sentdate|header_size|gmtime)$`)

func takesWritten(t *testing.T, l *cyruslab.Lab, user string, change func(*cyrus.Header, *cyrus.Index)) {
	l.MustAddUsers(t, user)
	c := l.MustLogin(t, user)
	for n := range 5 {
		cyruslab.Must(t, c.Append("INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\nx\r\n", n), time.Unix(1254175711+int64(n), 0),
			[][]string{nil, {`\Seen`}, {`\Flagged`, "work"}, {`\Answered`, `\Seen`, "$Label1"}, {"work"}}[n]...))
	}
	_, err := c.Select("INBOX")
	cyruslab.Must(t, err, c.Expunge("3"), c.Close())
	before, err := l.Truth(user)
	cyruslab.Must(t, err)

	path := strings.TrimSpace(string(mustTool(t, l, "mbpath", "user."+user)))
	indexFile, headerFile := filepath.Join(path, "cyrus.index"), filepath.Join(path, "cyrus.header")
	h, err := cyrus.ParseHeader(mustRead(t, headerFile))
	cyruslab.Must(t, err)
	ix, err := cyrus.ParseIndex(mustRead(t, indexFile))
	cyruslab.Must(t, err)
	had := len(ix.Records)
	change(h, ix)
	if len(ix.Records) < had {
		cyruslab.Must(t, os.Remove(filepath.Join(path, "3.")))
	}
	header, err := h.Marshal()
	cyruslab.Must(t, err)
	ix.HeaderFileCRC = crc32.ChecksumIEEE(header)
	index, err := ix.Marshal()
	cyruslab.Must(t, err)
	// In place, so that owner and mode stay: nobody has the mailbox open.
	cyruslab.Must(t, os.WriteFile(headerFile, header, 0o600), os.WriteFile(indexFile, index, 0o600))

	out := mustTool(t, l, "mbexamine", "user."+user)
	if want := fmt.Sprintf("Minor Version: %d", ix.Version); !strings.Contains(string(out), want) || strings.Contains(strings.ToLower(string(out)), "error") {
		t.Errorf("mbexamine, which does not say %q:\n%s", want, out)
	}
	for line := range strings.Lines(string(mustTool(t, l, "reconstruct", "-n", "user."+user))) {
		if line = strings.TrimSpace(line); line != "user."+user && !unfilled.MatchString(line) {
			t.Errorf("reconstruct -n says %s", line)
		}
	}
	mustTruth(t, l, user, before, ix.Version)
	c = l.MustLogin(t, user)
	cyruslab.Must(t, c.Append("INBOX", []byte("Subject: new\r\n\r\nx\r\n"), time.Unix(1254175800, 0), "later"))
	if n, err := c.Select("INBOX"); err != nil || n != 5 {
		t.Errorf("%d messages, %v", n, err)
	}
	cyruslab.Must(t, c.Expunge("6"), c.Store("1:5", "+FLAGS", "later"), c.Store("1:5", "-FLAGS", "later"), c.Unselect())
	mustTool(t, l, "reconstruct", "user."+user)
	mustTruth(t, l, user, before, ix.Version)
}

func mustTool(t *testing.T, l *cyruslab.Lab, name string, args ...string) []byte {
	t.Helper()
	out, err := l.Tool(name, args...)
	cyruslab.Must(t, err)
	return out
}

// mustTruth looks that a user holds what he held. An index of before version 12 has no \Seen.
func mustTruth(t *testing.T, l *cyruslab.Lab, user string, before *truth.Truth, version uint32) {
	t.Helper()
	after, err := l.Truth(user)
	cyruslab.Must(t, err)
	list := func(tr *truth.Truth) (list []truth.Message) {
		for _, m := range tr.Users[user].Folders["INBOX"].Messages {
			m.Flags = slices.DeleteFunc(slices.Clone(m.Flags), func(f string) bool { return f == `\Recent` || version < 12 && f == `\Seen` })
			slices.Sort(m.Flags)
			list = append(list, m)
		}
		return list
	}
	if want, have := list(before), list(after); !reflect.DeepEqual(want, have) {
		t.Errorf("IMAP shows\n%+v\nwant\n%+v", have, want)
	}
}
