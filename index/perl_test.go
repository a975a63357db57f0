package index_test

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// TestPerlArchives reads what Cyrus's own tools wrote, and compares each inferred run with what IMAP said.
func TestPerlArchives(t *testing.T) {
	dir := filepath.Join(testenv.Fixtures(t), "cyrus313")
	for _, c := range []struct {
		name, path, user string
		begun            []int64
	}{
		{"gz", "gz/data/brong/backupdata-1795508101.tar.gz", "brong", []int64{1795508101, 1795508111, 1795508118}},
		{"tar", "tar/data/brong/backupdata-1795508102.tar", "brong", []int64{1795508102, 1795508112, 1795508118}},
		{"default", "default-gz/data/cassandane/backupdata-1795508103.tar.gz", "cassandane", []int64{1795508103, 1795508108, 1795508115}},
	} {
		t.Run(c.name, func(t *testing.T) {
			archivePath := filepath.Join(dir, "archives", c.path)
			path := filepath.Join(indextest.Store(t), "index.sqlite3")
			if err := index.Rebuild(context.Background(), archivePath, path, nil); err != nil {
				t.Fatal(err)
			}
			if err := index.Check(context.Background(), archivePath, path); err != nil {
				t.Fatal(err)
			}
			os.Rename(path, path+".checked") // its archive does not stand beside it
			ix, a := mustOpenRead(t, path+".checked"), mustOpen(t, archivePath)
			runs, err := ix.Runs()
			if err != nil || len(runs) != len(c.begun) {
				t.Fatalf("%+v, %v", runs, err)
			}
			seen := map[cyrus.GUID]bool{}
			for i, r := range runs {
				if r.Begun.Unix() != c.begun[i] || !r.Inferred {
					t.Errorf("run %d is %+v", i+1, r)
				}
				compareTruth(t, ix, a, r, filepath.Join(dir, "truth", fmt.Sprintf("run%d.json", i+1)), c.user)
				compareNew(t, ix, r, seen)
			}
			if p, err := ix.Problems(); err != nil || len(p) > 0 {
				t.Errorf("problems %+v, %v", p, err)
			}
		})
	}
}

func compareTruth(t *testing.T, ix *index.Index, a *archive.Archive, r index.Run, path, user string) {
	t.Helper()
	server, err := truth.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	folders, err := ix.Folders(r.Run.Run)
	if err != nil {
		t.Fatal(err)
	}
	// Deleted mailboxes are not in what IMAP listed, but in the list of mailboxes.
	want := deletedNames(t, path, user)
	byName := map[string]*truth.Folder{}
	for _, f := range server.Users[user].Folders {
		want = append(want, f.DotName)
		byName[f.DotName] = f
	}
	var got []string
	messages, bytes := 0, int64(0)
	for _, f := range folders {
		got = append(got, f.Archived)
		n, size := compareFolder(t, ix, a, r, f, byName[f.Archived])
		messages, bytes = messages+n, bytes+size
	}
	slices.Sort(want)
	if !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("run %d has folders %q, not %q", r.Run.Run, got, want)
	}
	if r.Folders != len(want) || r.Messages != messages || r.Bytes != bytes {
		t.Errorf("run %d counts %d folders, %d messages, %d bytes: %d, %d, %d", r.Run.Run, r.Folders, r.Messages, r.Bytes, len(want), messages, bytes)
	}
}

// compareNew compares what a run says it added with the messages that no run before it had.
func compareNew(t *testing.T, ix *index.Index, r index.Run, seen map[cyrus.GUID]bool) {
	t.Helper()
	folders, err := ix.Folders(r.Run.Run)
	if err != nil {
		t.Fatal(err)
	}
	n, bytes := 0, int64(0)
	for _, f := range folders {
		for m, err := range ix.Messages(f.ID, r.Run.Run) {
			if err != nil {
				t.Fatal(err)
			}
			if !seen[m.GUID] {
				seen[m.GUID] = true
				n++
				bytes += m.Size
			}
		}
	}
	if r.NewMessages != n || r.NewBytes != bytes {
		t.Errorf("run %d added %d messages, %d bytes: %d, %d", r.Run.Run, r.NewMessages, r.NewBytes, n, bytes)
	}
}

// compareFolder returns the number and bytes of the messages that IMAP would show; want is nil for a deleted mailbox.
func compareFolder(t *testing.T, ix *index.Index, a *archive.Archive, r index.Run, f index.Folder, want *truth.Folder) (n int, bytes int64) {
	t.Helper()
	var got, wanted []string
	for m, err := range ix.Messages(f.ID, r.Run.Run) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Expunged {
			continue
		}
		n++
		bytes += m.Size
		body := mustRead(t, ix, a, m.Tar, m.Size)
		got = append(got, fmt.Sprintf("%d %x %d %d", m.UID, sha1.Sum(body), len(body), m.InternalDate))
	}
	if want == nil {
		return n, bytes
	}
	for _, m := range want.Messages {
		wanted = append(wanted, fmt.Sprintf("%d %s %d %d", m.UID, m.SHA1, m.Size, m.InternalDate))
	}
	if f.UniqueID != want.UniqueID || !slices.Equal(got, wanted) {
		t.Errorf("run %d, %s (%s):\n%s\nand the server had (%s)\n%s", r.Run.Run, f.Archived, f.UniqueID, strings.Join(got, "\n"), want.UniqueID, strings.Join(wanted, "\n"))
	}
	return n, bytes
}

func deletedNames(t *testing.T, path, user string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Mailboxes map[string]any `json:"ctl_mboxlist_d"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(list.Mailboxes)), func(name string) bool {
		return !strings.HasPrefix(name, "DELETED.") || cyrus.Name(name).User() != user
	})
}
