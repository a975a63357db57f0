package source_test

import (
	"reflect"
	"testing"
	"time"

	"backupfs/internal/cyruslab"
	"backupfs/source"
	"backupfs/source/sourcetest"
)

// TestLocal: layouts by UniqueID and by name, namespaces, domains, partitions.
func TestLocal(t *testing.T) {
	for name, o := range map[string]cyruslab.Options{
		"UniqueID":        {},
		"Partitions":      {UnixHierarchySep: true, DelayedDelete: true, SecondPartition: true, MetaFiles: "header index cache annotations", Archive: true},
		"Hashed":          {LegacyDirs: true, UnixHierarchySep: true, AltNamespace: true, Hash: true, DelayedDelete: true, Conversations: true},
		"FullyWithDomain": {LegacyDirs: true, UnixHierarchySep: true, Hash: true, FullDirHash: true, VirtDomains: "userid", ImmediateExpunge: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := cyruslab.Start(t, o)
			sourcetest.Run(t, lab, sourcetest.Traits{}, func(t *testing.T, lockTimeout time.Duration) source.Source {
				return mustOpenFor(t, lab, "", lockTimeout)
			})
			t.Run("FromSpool", func(t *testing.T) { sameFromSpool(t, lab) })
		})
	}
}

func mustOpen(t *testing.T, lab *cyruslab.Lab, mboxlist string) *source.Local {
	t.Helper()
	return mustOpenFor(t, lab, mboxlist, sourcetest.Patience)
}

func mustOpenFor(t *testing.T, lab *cyruslab.Lab, mboxlist string, lockTimeout time.Duration) *source.Local {
	t.Helper()
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{
		ConfigPath:      lab.Conf,
		LockTimeout:     lockTimeout,
		MaxPins:         3,
		MboxlistCommand: mboxlist,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sameFromSpool: the spool itself tells the same users and mailboxes as ctl_mboxlist.
func sameFromSpool(t *testing.T, lab *cyruslab.Lab) {
	byTool, bySpool := mustOpen(t, lab, ""), mustOpen(t, lab, source.NoMboxlist)
	users, err := byTool.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := bySpool.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, users) || len(users) < 10 {
		t.Errorf("users of the spool: %v\nof ctl_mboxlist: %v", got, users)
	}
	for _, u := range users {
		want, err := byTool.Mailboxes(t.Context(), u.Name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := bySpool.Mailboxes(t.Context(), u.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(bare(got), bare(want)) {
			t.Errorf("mailboxes of %s in the spool: %v\nof ctl_mboxlist: %v", u.Name, got, want)
		}
	}
	if by, problems := byTool.Listing(); by != source.ByMboxlist || len(problems) > 0 {
		t.Error(by, problems)
	}
	if by, problems := bySpool.Listing(); by != source.BySpool || len(problems) > 0 {
		t.Error(by, problems)
	}
}
