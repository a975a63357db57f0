package fs

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
)

// newFS is a file system over an empty store; it is not mounted, the tests ask it as the kernel does.
func newFS(t *testing.T) *FS {
	t.Helper()
	st, err := store.Init(filepath.Join(indextest.Store(t), "store"))
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Store: st, CacheBytes: 1 << 20, CacheDir: t.TempDir(), Location: time.UTC, Log: log.New(t.Output(), "", 0)})
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// mustArchive gives a user an archive of these runs, with an index.
func mustArchive(t *testing.T, f *FS, user string, runs ...indextest.Run) store.User {
	t.Helper()
	u, err := f.opts.Store.User(user)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Make(); err != nil {
		t.Fatal(err)
	}
	indextest.Archive(t, u.Dir, runs...)
	return u
}

// mustCopy gives so many other users, user0 and on, the same archive and index.
func mustCopy(t *testing.T, f *FS, from store.User, count int) {
	t.Helper()
	for i := range count {
		u, err := f.opts.Store.User(fmt.Sprintf("user%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(u.Make(), os.CopyFS(u.Dir, os.DirFS(from.Dir))); err != nil {
			t.Fatal(err)
		}
	}
}

func mustLookup(t *testing.T, f *FS, id uint64, path ...string) fuse.EntryOut {
	t.Helper()
	var out fuse.EntryOut
	for _, name := range path {
		if st := f.Lookup(nil, &fuse.InHeader{NodeId: id}, name, &out); st != fuse.OK || out.NodeId == 0 {
			t.Fatalf("%s: %v, node %#x", name, st, out.NodeId)
		}
		id = out.NodeId
	}
	return out
}

func read(f *FS, id uint64, size int, off uint64) (string, fuse.Status) {
	buf := make([]byte, size)
	in := fuse.ReadIn{Offset: off, Size: uint32(size)}
	in.NodeId = id
	result, st := f.Read(nil, &in, buf)
	if st != fuse.OK {
		return "", st
	}
	b, st := result.Bytes(buf)
	return string(b), st
}

func getXAttr(f *FS, id uint64, name string) (string, fuse.Status) {
	b := make([]byte, 1000)
	n, st := f.GetXAttr(nil, &fuse.InHeader{NodeId: id}, name, b)
	if st != fuse.OK {
		return "", st
	}
	return string(b[:n]), st
}

// names reads a whole directory, in answers of size bytes.
func names(t *testing.T, f *FS, id uint64, size int) (all []string) {
	t.Helper()
	var off uint64
	for {
		in := fuse.ReadIn{Offset: off}
		in.NodeId = id
		out := fuse.NewDirEntryList(make([]byte, size), off)
		if st := f.ReadDirPlus(nil, &in, out); st != fuse.OK {
			t.Fatal(st)
		}
		entries, _, err := fuse.ParseDirLookupEntries(out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return all
		}
		for _, e := range entries {
			all = append(all, e.Name)
			off = e.Off
		}
	}
}

var day = time.Date(2009, 9, 28, 11, 5, 0, 0, time.UTC)

func oneRun(body string) indextest.Run {
	return indextest.Run{Begun: day, Folders: []indextest.Folder{{UniqueID: "id", Name: "INBOX",
		Messages: []indextest.Message{{UID: 1, Body: body, Date: 1254000000}}}}}
}

// TestListingPieces: however little fits into an answer, all names come, once each.
func TestListingPieces(t *testing.T) {
	f := newFS(t)
	r := oneRun("x")
	for i := range 30 {
		r.Folders = append(r.Folders, indextest.Folder{UniqueID: fmt.Sprint("id", i), Name: fmt.Sprintf("INBOX.f%02d", i)})
	}
	mustCopy(t, f, mustArchive(t, f, "brong", r), 30)
	for _, dir := range []struct {
		id   uint64
		want int
	}{
		{rootID, 2 + 31},
		{mustLookup(t, f, rootID, "brong").NodeId, 2 + 4},
		{mustLookup(t, f, rootID, "brong", "2009-09-28").NodeId, 2 + 1 + 2},
		{mustLookup(t, f, rootID, "brong", "2009-09-28", ".uniqueid").NodeId, 2 + 31},
		{mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX").NodeId, 2 + 1 + 2 + 30},
	} {
		whole := names(t, f, dir.id, 1<<20)
		pieces := names(t, f, dir.id, 200)
		if !slices.Equal(whole, pieces) {
			t.Errorf("at once %q, in pieces %q", whole, pieces)
		}
		slices.Sort(whole)
		if len(slices.Compact(whole)) != dir.want {
			t.Errorf("%d names, want %d: %q", len(whole), dir.want, whole)
		}
	}
}

// TestReadBounds: a read ends where the file ends, and begins nowhere behind it.
func TestReadBounds(t *testing.T) {
	f := newFS(t)
	mustArchive(t, f, "brong", oneRun("0123456789"))
	id := mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "1.").NodeId
	for _, c := range []struct {
		size int
		off  uint64
		want string
	}{{4096, 0, "0123456789"}, {4, 3, "3456"}, {4096, 9, "9"}, {4096, 10, ""}, {4096, 4096, ""}, {1, 1 << 63, ""}, {10, ^uint64(0), ""}} {
		if got, st := read(f, id, c.size, c.off); got != c.want || st != fuse.OK {
			t.Errorf("%d bytes at %d: %q, %v", c.size, c.off, got, st)
		}
	}
}

// TestAnyNode: whatever node id the kernel asks about, the answer is an error or sense, and no panic.
func TestAnyNode(t *testing.T) {
	f := newFS(t)
	mustArchive(t, f, "brong", oneRun("x"))
	mustLookup(t, f, rootID, "brong")
	for kind := range uint64(16) {
		for _, rest := range []uint64{0, 1, 1 << idBits, 1<<idBits | 5, 1<<idBits | 1, 2 << idBits, 9 << payloadBits, 1<<60 - 1} {
			id := kind<<60 | rest
			var attr fuse.AttrOut
			in := fuse.GetAttrIn{}
			in.NodeId = id
			st := f.GetAttr(nil, &in, &attr)
			if st == fuse.OK && attr.Mode&syscall.S_IFMT == 0 {
				t.Errorf("%#x has no type", id)
			}
			header := &fuse.InHeader{NodeId: id}
			var out fuse.EntryOut
			f.Lookup(nil, header, "1.", &out)
			f.Readlink(nil, header)
			f.ListXAttr(nil, header, nil)
			f.GetXAttr(nil, header, "user.cyrus.guid", nil)
			read(f, id, 10, 0)
			rd := fuse.ReadIn{}
			rd.NodeId = id
			f.ReadDir(nil, &rd, fuse.NewDirEntryList(make([]byte, 4096), 0))
		}
	}
}

// TestOpenIsBounded: looking at many users leaves few archives open, and those that rest are closed.
func TestOpenIsBounded(t *testing.T) {
	f := newFS(t)
	mustCopy(t, f, mustArchive(t, f, "brong", oneRun("x")), maxOpen+20)
	if names(t, f, rootID, 1<<20); descriptors(t, f) != 0 {
		t.Errorf("listing the root opens %d files", descriptors(t, f))
	}
	for i := range maxOpen + 20 {
		mustLookup(t, f, rootID, fmt.Sprintf("user%d", i))
	}
	if n := descriptors(t, f); n != 0 {
		t.Errorf("stat of each user's folder leaves %d files open", n)
	}
	for range 2 {
		for i := range maxOpen + 20 {
			id := mustLookup(t, f, rootID, fmt.Sprintf("user%d", i), "2009-09-28", "INBOX", "1.").NodeId
			if got, st := read(f, id, 10, 0); got != "x" || st != fuse.OK {
				t.Errorf("user%d: %q, %v", i, got, st)
			}
		}
	}
	if n := descriptors(t, f); n == 0 || n > 2*maxOpen {
		t.Errorf("%d files are open", n)
	}
	for _, u := range f.users.open {
		u.used = u.used.Add(-rest)
	}
	f.users.tidied = time.Time{}
	mustLookup(t, f, rootID, "user0", "2009-09-28")
	if n := descriptors(t, f); n > 2 {
		t.Errorf("after a rest %d files are open", n)
	}
}

// descriptors counts what this process has open in the store.
func descriptors(t *testing.T, f *FS) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, f.opts.Store.Root+"/") {
			n++
		}
	}
	return n
}

// TestNewArchive: when another archive file takes the place of a user's, as after a compaction, what was read from the old one goes on
// as long as it is open, nothing of it is taken for the new one's, and the way from the root leads to the new one.
func TestNewArchive(t *testing.T) {
	f := newFS(t)
	u := mustArchive(t, f, "brong", oneRun("old"))
	path := []string{"brong", "2009-09-28", "INBOX", "1."}
	old := mustLookup(t, f, rootID, path...).NodeId

	w := indextest.NewWriter(t, t.TempDir())
	w.Run(oneRun("new bytes"))
	w.Close()
	was, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	now := filepath.Join(u.Dir, "backupdata-2000000000.tar.gz")
	if err := errors.Join(os.Rename(w.Path(), now), index.Rebuild(context.Background(), now, u.Index(), nil), os.Remove(was)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(checkEvery)
	fresh := mustLookup(t, f, rootID, path...).NodeId
	if fresh == old {
		t.Error("both files have the same node id")
	}
	if got, st := read(f, fresh, 100, 0); got != "new bytes" {
		t.Errorf("from the new archive: %q, %v", got, st)
	}
	if got, st := read(f, old, 100, 0); got != "old" {
		t.Errorf("from the old archive: %q, %v", got, st)
	}
	for _, c := range []struct {
		after time.Duration
		st    fuse.Status
	}{{rest / 2, fuse.OK}, {rest, fuse.Status(syscall.ESTALE)}} {
		for _, o := range f.users.open {
			o.used = o.used.Add(-c.after)
		}
		f.users.tidied = time.Time{}
		read(f, fresh, 100, 0)
		if _, st := read(f, old, 100, 0); st != c.st {
			t.Errorf("from the old archive, after %v: %v", c.after, st)
		}
	}
}

// TestReplacedMeanwhile: who comes to an archive that was replaced a moment ago, before anybody noticed, is sent to look again.
func TestReplacedMeanwhile(t *testing.T) {
	f := newFS(t)
	u := mustArchive(t, f, "brong", oneRun("old"))
	was, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.users.lookup("brong")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(u.Dir, "backupdata-2000000000.tar.gz")
	if err := errors.Join(os.Rename(was, path), index.Rebuild(t.Context(), path, u.Index(), nil)); err != nil {
		t.Fatal(err)
	}
	f.users.mu.Lock()
	s.checked = time.Now().Add(time.Hour) // nobody looks
	f.users.mu.Unlock()
	if _, err := f.users.acquire(t.Context(), s.num); !errors.Is(err, errStale) {
		t.Errorf("%v", err)
	}
	now, err := f.users.lookup("brong")
	if err != nil || now == s {
		t.Fatal(now, err)
	}
	open, err := f.users.acquire(t.Context(), now.num)
	if err != nil {
		t.Fatal(err)
	}
	f.users.release(open)
}

// TestReplacedBehind: an archive that got another run, and was replaced before anybody came to it since, is read on by who had come to it before.
func TestReplacedBehind(t *testing.T) {
	for _, noticed := range []bool{false, true} {
		f := newFS(t)
		u := mustArchive(t, f, "brong", oneRun("old"))
		old := mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "1.").NodeId
		was, err := u.Archive()
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.users.lookup("brong")
		if err != nil {
			t.Fatal(err)
		}
		look := func(at time.Time) {
			f.users.mu.Lock()
			s.checked = at
			f.users.mu.Unlock()
		}
		if err := os.Chtimes(was, time.Time{}, time.Now().Add(time.Minute)); err != nil { // as a run does
			t.Fatal(err)
		}
		look(time.Time{})
		if _, err := f.users.lookup("brong"); err != nil {
			t.Fatal(err)
		}
		if !s.behind {
			t.Error("nobody noticed the run")
		}
		path := filepath.Join(u.Dir, "backupdata-2000000000.tar.gz")
		if err := errors.Join(os.Rename(was, path), index.Rebuild(t.Context(), path, u.Index(), nil)); err != nil {
			t.Fatal(err)
		}
		if look(time.Time{}); !noticed {
			look(time.Now().Add(time.Hour))
		}
		if got, st := read(f, old, 100, 0); got != "old" {
			t.Errorf("that it was replaced is noticed: %t; %q, %v", noticed, got, st)
		}
	}
}

// TestReplacedOften: archives that were replaced, however many are still open, push out none that counts: who walks in that reads on, also
// when it is replaced next. Nor does a look at many others' archives push out those that were replaced.
func TestReplacedOften(t *testing.T) {
	f := newFS(t)
	u, busy := mustArchive(t, f, "brong", oneRun("brong")), mustArchive(t, f, "busy", oneRun("busy"))
	mustCopy(t, f, busy, maxOpen)
	file := func(user string) uint64 { return mustLookup(t, f, rootID, user, "2009-09-28", "INBOX", "1.").NodeId }
	wants := func(id uint64, want string) {
		t.Helper()
		if got, st := read(f, id, 100, 0); got != want || st != fuse.OK {
			t.Errorf("%q, %v, want %q", got, st, want)
		}
	}
	walked := file("brong")
	wants(walked, "brong")
	var last uint64
	for range maxOpen + 10 {
		last = file("busy")
		wants(last, "busy")
		mustReplace(t, f, busy)
	}
	mustReplace(t, f, u)
	wants(walked, "brong")
	wants(last, "busy")
	for i := range maxOpen {
		wants(file(fmt.Sprintf("user%d", i)), "busy")
	}
	wants(walked, "brong")
	wants(last, "busy")
	if n := descriptors(t, f); n > 2*maxOpen {
		t.Errorf("%d files are open", n)
	}
}

// mustReplace gives a user another archive file, of the same bytes, and has that noticed.
func mustReplace(t *testing.T, f *FS, u store.User) {
	t.Helper()
	s, err := f.users.lookup(u.Name)
	if err != nil {
		t.Fatal(err)
	}
	was, err := u.Archive()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(u.Dir, fmt.Sprintf("backupdata-%d.tar.gz", 2_000_000_000+len(f.users.slots)))
	if err := errors.Join(os.Rename(was, path), index.Rebuild(t.Context(), path, u.Index(), nil)); err != nil {
		t.Fatal(err)
	}
	if replaced, err := f.users.replaced(s); !replaced {
		t.Fatalf("nobody noticed the new archive: %v", err)
	}
}

// TestIncomplete: an archive without a complete run is an empty folder, and so is one that is gone no folder.
func TestIncomplete(t *testing.T) {
	f := newFS(t)
	u, err := f.opts.Store.User("brong")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Make(); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Create(u.Dir, day, archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(archive.Entry{Name: "files/x", Type: archive.TypeFile, Size: 1}, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	id := mustLookup(t, f, rootID, "brong").NodeId
	if got := names(t, f, id, 1<<20); !slices.Equal(got, []string{".", ".."}) {
		t.Errorf("an archive without a complete run lists %q", got)
	}
	var out fuse.EntryOut
	if st := f.Lookup(nil, &fuse.InHeader{NodeId: id}, "latest", &out); st != fuse.ENOENT {
		t.Errorf("latest: %v", st)
	}
	if err := errors.Join(a.Close(), os.RemoveAll(u.Dir)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(checkEvery)
	if st := f.Lookup(nil, &fuse.InHeader{NodeId: rootID}, "brong", &out); st != fuse.ENOENT {
		t.Errorf("a user who is gone: %v", st)
	}
}

// TestLRU: what was used last stays, within the bounds; the newest stays whatever it costs.
func TestLRU(t *testing.T) {
	l := newLRU[int, string](3, 100)
	for i := range 4 {
		l.put(i, fmt.Sprint(i), 10)
	}
	l.get(1)
	l.put(4, "4", 10)
	for key, want := range map[int]bool{0: false, 1: true, 2: false, 3: true, 4: true} {
		if _, ok := l.get(key); ok != want {
			t.Errorf("%d is there: %v", key, ok)
		}
	}
	l.put(5, "5", 1000)
	if _, ok := l.get(5); !ok || l.order.Len() != 1 || l.cost != 1000 {
		t.Errorf("behind a large one there are %d, cost %d", l.order.Len(), l.cost)
	}
	l.put(6, "6", 1)
	if _, ok := l.get(5); ok || l.cost != 1 {
		t.Errorf("the large one stays beside another, cost %d", l.cost)
	}
}
