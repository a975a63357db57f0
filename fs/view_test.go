package fs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// TestViews: whatever a server did, all and deleted say of it, as of any run, what a plain model says; and a message there is the very file that it is
// in the date where it stood last. If messages have flags, it has those that it had there.
func TestViews(t *testing.T) {
	f := newFS(t)
	n := 0
	testenv.Check(t, func(r *rapid.T) {
		tb := indextest.Rapid(t, r)
		n++
		f.opts.Expunged, f.opts.Flags = n%4 == 0, n%4 < 2
		s := indextest.NewServer()
		for range rapid.IntRange(1, 6).Draw(r, "runs") {
			for range rapid.IntRange(0, 8).Draw(r, "changes") {
				s.Change(r)
			}
			s.Run()
		}
		name := fmt.Sprint("user", n)
		folder, err := f.opts.Store.User(name)
		if err := errors.Join(err, folder.Make()); err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(folder.Dir)
		var runs []indextest.Run
		for _, h := range s.History {
			runs = append(runs, h.Run)
		}
		indextest.Archive(tb, folder.Dir, runs...)
		user := mustLookup(t, f, rootID, name).NodeId
		for v, view := range viewNames {
			newest := mustLookup(t, f, user, view).NodeId
			at, _ := decode(newest)
			compareView(tb, f, s, user, newest, v, len(runs))
			at.run = rapid.IntRange(1, len(runs)).Draw(r, "run")
			id, _ := at.encode()
			compareView(tb, f, s, user, id, v, at.run)
		}
	})
}

func compareView(t testing.TB, f *FS, s *indextest.Server, user, top uint64, v view, run int) {
	got := map[string]string{}
	walkView(t, f, top, "", got)
	want := modelView(s, v, run, f.opts.Expunged)
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if got[p] != want[p].is {
			t.Errorf("%s as of run %d: %s is %q, not %q", viewNames[v], run, p, got[p], want[p].is)
		}
		if want[p].date == "" || t.Failed() {
			continue
		}
		same, there := user, top
		for _, name := range strings.Split(want[p].date, "/") {
			same = mustFind(t, f, same, name)
		}
		for _, name := range strings.Split(p, "/") {
			there = mustFind(t, f, there, name)
		}
		if same != there {
			t.Errorf("%s as of run %d: %s is node %#x, and %s is %#x", viewNames[v], run, p, there, want[p].date, same)
		}
		got := ""
		for _, name := range []string{"user.cyrus.uid", "user.cyrus.flags"} {
			value, st := getXAttr(f, there, name)
			if got += value + " "; (st == fuse.OK) != f.opts.Flags {
				t.Errorf("%s as of run %d: %s has %s: %v", viewNames[v], run, p, name, st)
			}
		}
		if f.opts.Flags && got != want[p].flags {
			t.Errorf("%s as of run %d: %s has UID and flags %q, not %q", viewNames[v], run, p, got, want[p].flags)
		}
	}
	for p := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s as of run %d: %s is not in the model: %s", viewNames[v], run, p, got[p])
		}
	}
}

func mustFind(t testing.TB, f *FS, id uint64, name string) uint64 {
	var out fuse.EntryOut
	if st := f.Lookup(nil, &fuse.InHeader{NodeId: id}, name, &out); st != fuse.OK || out.NodeId == 0 {
		t.Fatalf("%s: %v, node %#x", name, st, out.NodeId)
	}
	return out.NodeId
}

// walkView notes what is below a directory, as listed; each name must be found as the same, too.
func walkView(t testing.TB, f *FS, id uint64, at string, into map[string]string) {
	in := fuse.ReadIn{}
	in.NodeId = id
	list := fuse.NewDirEntryList(make([]byte, 1<<20), 0)
	if st := f.ReadDirPlus(nil, &in, list); st != fuse.OK {
		t.Fatal(at, st)
	}
	entries, attrs, err := fuse.ParseDirLookupEntries(list.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries[2:] {
		p, a := path.Join(at, e.Name), attrs[i+2]
		var attr fuse.AttrOut
		get := fuse.GetAttrIn{}
		get.NodeId = a.NodeId
		if st := f.GetAttr(nil, &get, &attr); st != fuse.OK || attr.Ino != e.Ino || attr.Size != a.Size || attr.Mtime != a.Mtime {
			t.Errorf("%s is listed as %+v, and stat says %v, %+v", p, a, st, attr)
		}
		if found := mustFind(t, f, id, e.Name); found != a.NodeId {
			t.Errorf("%s is listed as %#x, and found as %#x", p, a.NodeId, found)
		}
		if _, double := into[p]; double {
			t.Errorf("%s is there twice", p)
		}
		switch a.Mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			into[p] = "directory"
			walkView(t, f, a.NodeId, p, into)
		case syscall.S_IFLNK:
			target, _ := f.Readlink(nil, &fuse.InHeader{NodeId: a.NodeId})
			into[p] = "-> " + path.Join(at, string(target))
		default:
			body, st := read(f, a.NodeId, int(a.Size)+1, 0)
			into[p] = fmt.Sprint(body, st, a.Mtime)
		}
	}
}

// seen is an entry of a view: what it is, and of a message the path in the date where it stood last, and what it was there.
type seen struct{ is, date, flags string }

// modelView says what a view as of a run shows.
func modelView(s *indextest.Server, v view, run int, expunged bool) map[string]seen {
	history := s.History[:run]
	all := make([]archive.Run, len(s.History))
	for i, h := range s.History {
		all[i].Begun = h.Run.Begun
	}
	dates := index.DateNames(all, time.UTC)
	dated := func(name, separator string, last int) string {
		if last == run-1 {
			return name
		}
		return name + separator + dates[last]
	}

	type message struct {
		id   string
		uid  uint32
		guid cyrus.GUID
	}
	names := map[string]map[int]string{}                       // by UniqueID and run
	stood := map[message]int{}                                 // last
	which := map[message]indextest.Message{}                   // then
	present, known := map[cyrus.GUID]bool{}, map[string]bool{} // at the newest; folders that were not always deleted
	for _, h := range history {
		for _, f := range h.Run.Folders {
			known[f.UniqueID] = known[f.UniqueID] || !strings.HasPrefix(f.Name, "DELETED.")
		}
	}
	for i, h := range history {
		for _, f := range h.Run.Folders {
			deleted := strings.HasPrefix(f.Name, "DELETED.")
			if deleted && known[f.UniqueID] {
				continue
			}
			if names[f.UniqueID] == nil {
				names[f.UniqueID] = map[int]string{}
			}
			names[f.UniqueID][i] = f.Name
			for n, m := range f.Messages {
				guid := h.GUIDs[f.UniqueID][n]
				if m.Unlinked || m.Expunged && !expunged || !s.Has(guid) {
					continue
				}
				key := message{f.UniqueID, m.UID, guid}
				stood[key], which[key] = i, m
				present[guid] = present[guid] || i == run-1 && !deleted
			}
		}
	}

	tree := map[string]seen{}
	directory := func(p string) {
		for ; p != "."; p = path.Dir(p) {
			tree[p] = seen{is: "directory"}
		}
	}
	homes := map[string]string{}
	for id, was := range names {
		last := slices.Max(slices.Collect(maps.Keys(was)))
		homes[id] = dated(path.Join(cyrus.TreePath(was[last])...), ".until-", last)
		if v == viewAll || last < run-1 {
			directory(homes[id])
		}
		former := map[string]int{}
		for i, name := range was {
			former[name] = max(former[name], i)
		}
		for name, i := range former {
			if v == viewAll && name != was[last] {
				p := dated(path.Join(cyrus.TreePath(name)...), ".until-", i)
				directory(path.Dir(p))
				tree[p] = seen{is: "-> " + homes[id]}
			}
		}
	}
	for key, last := range stood {
		if v == viewDeleted && (last == run-1 || present[key.guid]) {
			continue
		}
		directory(homes[key.id])
		tree[dated(path.Join(homes[key.id], fmt.Sprint(key.uid)+"."), "", last)] = seen{
			is:    fmt.Sprint(s.Bodies[key.guid], fuse.OK, which[key].Date),
			flags: fmt.Sprintf("%d %s ", key.uid, map[bool]string{true: `\Flagged`}[which[key].Flags != 0]),
			date:  path.Join(append(append([]string{dates[last]}, cyrus.TreePath(names[key.id][last])...), fmt.Sprint(key.uid)+".")...),
		}
	}
	return tree
}
