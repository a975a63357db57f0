package fs

import (
	"context"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/index/indextest"
)

// TestLookedUp: whoever has looked messages up reads them without another question to the index.
func TestLookedUp(t *testing.T) {
	f := newFS(t)
	r := oneRun("one")
	r.Folders[0].Messages = append(r.Folders[0].Messages, indextest.Message{UID: 2, Body: "two", Date: 1254000001})
	mustArchive(t, f, "brong", r)
	folder := mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX").NodeId
	one, two := mustLookup(t, f, folder, "1.").NodeId, mustLookup(t, f, folder, "2.").NodeId
	n, _ := decode(one)
	u, err := f.users.acquire(context.Background(), n.slot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.users.release(u)
	if err := u.index.Close(); err != nil {
		t.Fatal(err)
	}
	for id, body := range map[uint64]string{one: "one", two: "two"} {
		if got, st := read(f, id, 10, 0); st != fuse.OK || got != body {
			t.Errorf("%q: %v, %q", body, st, got)
		}
	}
	f.lastAsked = newLRU[uint64, message](maxAsked, maxAsked)
	if _, st := read(f, one, 10, 0); st != fuse.EIO {
		t.Errorf("the index was not closed: %v", st)
	}
}
