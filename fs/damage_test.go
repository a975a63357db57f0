package fs

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestIndexOfAnother: an index that is of another archive of the same name is not believed; a private one is made.
func TestIndexOfAnother(t *testing.T) {
	f := newFS(t)
	strange := mustArchive(t, f, "cassandane", oneRun("old"))
	u := mustArchive(t, f, "brong", oneRun("new"))
	b, err := os.ReadFile(strange.Index())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(u.Index(), b, 0o600); err != nil {
		t.Fatal(err)
	}
	id := mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "1.").NodeId
	if got, st := read(f, id, 100, 0); got != "new" {
		t.Errorf("%q, %v", got, st)
	}
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	for _, o := range f.users.open {
		if status, err := o.index.Status(); err != nil || status.Runs != 1 {
			t.Error(status, err)
		} else if own, err := o.index.Fits(o.archive); !own || err != nil {
			t.Errorf("the index that is used fits: %v, %v", own, err)
		}
	}
	path, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	if err := index.Rebuild(context.Background(), path, u.Index(), nil); err != nil { // newFS checks it
		t.Error(err)
	}
}

// TestLost: a message that was destroyed before the index was made is in the tree as the server had it, and its bytes are an
// error that is logged. One that the server had no file for is not in the tree.
func TestLost(t *testing.T) {
	f := newFS(t)
	var logged bytes.Buffer
	f.opts.Log = log.New(&logged, "", 0)
	r := oneRun(strings.Repeat("lost", archive.MemberSize/2))
	r.Folders[0].Messages = append(r.Folders[0].Messages,
		indextest.Message{UID: 2, Body: "whole", Date: 1254000000}, indextest.Message{UID: 3, Body: "never", Missing: true, Date: 1254000000})
	u := mustArchive(t, f, "brong", r)
	path, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[archive.MemberHeaderSize+20] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := index.Rebuild(context.Background(), path, u.Index(), nil); !errors.Is(err, index.ErrKept) {
		t.Errorf("the index that knew more: %v", err)
	}
	if err := os.Remove(u.Index()); err != nil {
		t.Fatal(err)
	}
	if err := index.Rebuild(context.Background(), path, u.Index(), nil); err != nil {
		t.Fatal(err)
	}
	inbox := mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX").NodeId
	all := names(t, f, inbox, 1<<20)
	if !slices.Contains(all, "1.") || !slices.Contains(all, "2.") || slices.Contains(all, "3.") {
		t.Errorf("the folder lists %q", all)
	}
	lost := mustLookup(t, f, inbox, "1.")
	if lost.Size != 2*archive.MemberSize || lost.Mtime != 1254000000 {
		t.Errorf("%+v", lost.Attr)
	}
	var attr fuse.AttrOut
	in := fuse.GetAttrIn{}
	in.NodeId = lost.NodeId
	if st := f.GetAttr(nil, &in, &attr); st != fuse.OK || attr.Size != lost.Size {
		t.Errorf("%v, %+v", st, attr.Attr)
	}
	if _, st := read(f, lost.NodeId, 100, 0); st != fuse.EIO {
		t.Errorf("reading what is lost: %v", st)
	}
	if want := "user brong, 2009-09-28, \"INBOX\", message 1, "; !strings.Contains(logged.String(), want) || !strings.Contains(logged.String(), errLost.Error()) {
		t.Errorf("logged: %s", logged.String())
	}
	if got, st := read(f, mustLookup(t, f, inbox, "2.").NodeId, 100, 0); got != "whole" {
		t.Errorf("%q, %v", got, st)
	}
	var out fuse.EntryOut
	if st := f.Lookup(nil, &fuse.InHeader{NodeId: inbox}, "3.", &out); out.NodeId != 0 || st != fuse.OK && st != fuse.Status(syscall.ENOENT) {
		t.Errorf("what the server had not: %v, node %#x", st, out.NodeId)
	}
}
