package cyruslab

import (
	"cmp"
	"os"
	"testing"

	"backupfs/internal/testenv"
)

// TempDir is a folder that is gone when the test ends, and that everybody reaches (t.TempDir is for its owner only). It lies in memory where
// there is room: for tests of what syncs often.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent(), "cyruslab-")
	Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	Must(t, os.Chmod(dir, 0o755))
	return dir
}

// Start brings up a server for one test, in a TempDir: Cyrus syncs after each command. It is gone when the test ends.
func Start(t testing.TB, o Options) *Lab {
	t.Helper()
	l, err := New(TempDir(t), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// parent is where servers of tests have their folders: socket paths must be short, and TMPDIR may be long.
func parent() string {
	return cmp.Or(testenv.Memory(), "/tmp")
}

// Must fails the test for each error that is not nil: cyruslab.Must(t, c.Create("INBOX.A"), c.Subscribe("INBOX.A")).
func Must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// MustLogin logs user in; the connection is closed when the test ends.
func (l *Lab) MustLogin(t testing.TB, user string) *Client {
	t.Helper()
	c, err := l.Login(user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// MustAddUsers makes users.
func (l *Lab) MustAddUsers(t testing.TB, names ...string) {
	t.Helper()
	Must(t, l.AddUsers(names...))
}
