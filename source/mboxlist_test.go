package source_test

import (
	"testing"

	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// An imapd.conf may be named from where one is.
func TestRelativeConfig(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	lab.MustAddUsers(t, "alice")
	t.Chdir(lab.Dir)
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: "imapd.conf"})
	if err != nil {
		t.Fatal(err)
	}
	if users, err := l.Users(t.Context()); err != nil || len(users) != 1 {
		t.Fatalf("users %v, %v", users, err)
	}
	if by, problems := l.Listing(); by != source.ByMboxlist || len(problems) > 0 {
		t.Errorf("listed by %s, %v", by, problems)
	}
}
