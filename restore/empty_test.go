package restore_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"backupfs/index/indextest"
	"backupfs/restore"
)

// TestEmptyFolder: a folder that held nothing is made, once, unless it is messages that are asked for.
func TestEmptyFolder(t *testing.T) {
	d := mustOpenOf(t, indextest.Folder{UniqueID: "id", Name: "INBOX.Plans"})
	for what, c := range map[string]struct {
		sink func(string) restore.Sink
		made string
	}{
		"dir":     {func(root string) restore.Sink { return restore.Dir{Root: root} }, "INBOX/Plans"},
		"maildir": {func(root string) restore.Sink { return restore.Maildir{Root: root} }, ".Plans/cur"},
		"mbox":    {func(root string) restore.Sink { return restore.Mbox{Root: root} }, "INBOX/Plans.mbox"},
	} {
		root := t.TempDir()
		made := filepath.Join(root, c.made)
		for _, unasked := range []struct {
			s restore.Selection
			o restore.Options
		}{
			{restore.Selection{UIDs: mustUIDs(t, "1:*")}, restore.Options{}},
			{restore.Selection{Match: mustMatch(t, "subject:x")}, restore.Options{}},
			{restore.Selection{}, restore.Options{DryRun: true}},
		} {
			mustRun(t, d, unasked.s, c.sink(root), unasked.o)
			if _, err := os.Lstat(made); err == nil {
				t.Errorf("%s: %s was made for %+v", what, made, unasked)
			}
		}
		if got := mustRun(t, d, restore.Selection{}, c.sink(root), restore.Options{}); !slices.Equal(got, []string{"INBOX.Plans 0 0 [] <nil>"}) {
			t.Errorf("%s: %q", what, got)
		}
		if _, err := os.Lstat(made); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "mbox" {
			continue // it refuses one that is there
		}
		if got := mustRun(t, d, restore.Selection{}, c.sink(root), restore.Options{}); got != nil {
			t.Errorf("%s: the second time: %q", what, got)
		}
	}
}
