package main

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
)

// TestHandles: an NFS server keeps handles of files that outlive their being open, and the mount. Here one of the next mount would stand
// for the mail of whoever is looked at first there, so none is to be had (docs/design.md); by no way does it lead to another user's mail.
func TestHandles(t *testing.T) {
	x := newFixture(t)
	for _, user := range []string{"alice", "brong"} {
		x.run(indextest.Run{User: user, Begun: mustDay("2009-09-28T11:05"), Folders: []indextest.Folder{
			{UniqueID: "id", Name: "INBOX", Messages: []indextest.Message{{UID: 1, Body: "mail of " + user, Date: 1254000000}}}}})
	}
	m := x.mount("")
	var handles []unix.FileHandle
	for _, path := range []string{"", "alice", "alice/2009-09-28", "alice/2009-09-28/INBOX", "alice/2009-09-28/INBOX/1."} {
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, m.path(path), 0)
		switch {
		case err == nil: // before Linux 6.7 the kernel cannot be told
			handles = append(handles, handle)
		case !errors.Is(err, unix.EOPNOTSUPP):
			t.Errorf("a handle of %q: %v", path, err)
		}
	}
	m.end(unix.SIGTERM)
	m = x.mount("")
	mustRead(t, m.path("brong/2009-09-28/INBOX/1."))
	top, err := unix.Open(m.dir, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(top)
	for _, handle := range handles {
		fd, err := unix.OpenByHandleAt(top, handle, unix.O_RDONLY)
		if err != nil {
			continue
		}
		b := make([]byte, 100)
		if n, err := unix.Read(fd, b); err == nil {
			t.Errorf("by a handle of alice's mail %q can be read", b[:n])
		}
		unix.Close(fd)
	}
}
