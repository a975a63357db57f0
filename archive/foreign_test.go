package archive

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// file is an entry of a message.
func file(size int, seed uint64) modelEntry {
	b := content(size, seed)
	sum := fmt.Sprintf("%x", sha1.Sum(b))
	return modelEntry{Entry{Name: "files/" + sum, Linkname: sum, Type: TypeFile, Size: int64(size), Mtime: 1254175711}, b}
}

// files are n of these, each so-many-th of which is large.
func files(rng *rand.Rand, n, large int) (entries []modelEntry) {
	for i := range n {
		size := rng.IntN(9000)
		if i%large == 0 {
			size = rng.IntN(3 * MemberSize)
		}
		entries = append(entries, file(size, rng.Uint64()))
	}
	return entries
}

// meta is an entry of a user's or a folder's file.
func meta(name string, size int, mtime int64) modelEntry {
	e := file(size, uint64(mtime))
	e.Name, e.Mtime = name, mtime
	return e
}

func link(folder, id string, mtime int64) modelEntry {
	return modelEntry{Entry: Entry{Name: "imap/" + folder + "/", Linkname: id, Type: TypeLink, Mtime: mtime}}
}

// ours writes an archive with one run for each list of entries.
func ours(t *testing.T, runs ...[]modelEntry) (path string) {
	t.Helper()
	withoutSyncs(t)
	a, err := Create(t.TempDir(), day, AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, entries := range runs {
		mustAddRun(t, a, modelRun{Marker{Begun: day.AddDate(0, 0, i)}, entries})
	}
	mustClose(t, a)
	return a.Path()
}

// What another tool appends is a run, however it cut its members; the next run of ours goes on behind it, its digest over both.
func TestForeignRuns(t *testing.T) {
	at := func(hours int) int64 { return day.Add(time.Duration(hours) * time.Hour).Unix() }
	thousand := func(n int) (es []modelEntry) {
		for i := range n {
			es = append(es, file(i%50, uint64(i)))
		}
		return es
	}
	base := []modelEntry{file(700, 1), link("INBOX", "a", at(0))}
	for _, c := range []struct {
		name    string
		members [][]modelEntry
		begun   []int64 // of the inferred runs
		counts  []int   // of their entries
	}{
		{"links tell the time", [][]modelEntry{{file(3, 3), link("A", "b", at(5)), meta("folders/a/cyrus.index", 10, at(6))}}, []int64{at(5)}, []int{3}},
		{"an index tells the time", [][]modelEntry{{file(3, 3), meta("folders/a/cyrus.index", 10, at(7))}}, []int64{at(7)}, []int{2}},
		{"time does not run backward", [][]modelEntry{{link("A", "b", at(-9))}, {file(1, 1)}}, []int64{at(0), at(0)}, []int{1, 1}},
		{"two runs", [][]modelEntry{{link("A", "b", at(5))}, {link("B", "c", at(6))}}, []int64{at(5), at(6)}, []int{1, 1}},
		{"a run of 2,002 entries", [][]modelEntry{thousand(1000), thousand(1001), {link("A", "b", at(5))}}, []int64{at(5)}, []int{2002}},
		{"999 entries are a run", [][]modelEntry{thousand(999), {link("A", "b", at(5))}}, []int64{at(0), at(5)}, []int{999, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := ours(t, base)
			for _, m := range c.members {
				mustAppendForeign(t, path, tarOf(m))
			}
			a, rec, err := OpenAppend(path, Hint{}, AppendOptions{})
			if err != nil || !rec.Foreign || rec.Torn != "" {
				t.Fatal(rec, err)
			}
			last, _ := a.Last()
			if last.Run != 1+len(c.begun) || !last.Inferred {
				t.Errorf("last run is %+v", last)
			}
			r := mustAddRun(t, a, modelRun{Marker{Begun: day.AddDate(0, 0, 1)}, base})
			mustClose(t, a)
			runs, _, _, err := scanned(mustOpen(t, path), ScanOptions{Digest: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(runs) != len(c.begun)+2 || r.Run != len(runs) {
				t.Fatalf("%d runs, and the last says it is run %d", len(runs), r.Run)
			}
			for i, begun := range c.begun {
				if run := runs[i+1]; run.marker.Begun.Unix() != begun || len(run.entries) != c.counts[i] {
					t.Errorf("run %d: begun %v, %d entries", i+2, run.marker.Begun, len(run.entries))
				}
			}
		})
	}
}

// A tool that dies within an entry may still close its gzip member. Nothing can be appended to that.
func TestForeignCutWithinEntry(t *testing.T) {
	tar := tarOf([]modelEntry{file(700, 2), file(9000, 3)})
	for _, cut := range []int{0, 1, 511, 512, 513, 1536, 1537, 2048, 4000, len(tar) - 512, len(tar) - 1} {
		path := ours(t, []modelEntry{file(700, 1)})
		first, err := completeEnd(path)
		if err != nil {
			t.Fatal(err)
		}
		mustAppendForeign(t, path, tar[:cut])
		end, err := completeEnd(path)
		if err != nil {
			t.Fatal(err)
		}
		if whole := cut == 0 || cut == 1536; whole != (end != first) {
			t.Errorf("cut at %d of %d: complete up to %v, was %v", cut, len(tar), end, first)
		}
	}
}

// Another tool that appends behind a torn run of ours has read its entries: they are kept as part of its run.
func TestForeignBehindUnfinished(t *testing.T) {
	path := ours(t, []modelEntry{file(700, 1)})
	a, _, err := OpenAppend(path, Hint{}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	torn := file(100, 2)
	if _, err := a.Add(torn.Entry, bytes.NewReader(torn.content)); err != nil {
		t.Fatal(err)
	}
	a.cut()
	mustClose(t, a)
	index := meta("folders/a/cyrus.index", 10, day.Unix())
	mustAppendForeign(t, path, tarOf([]modelEntry{index}))
	a, rec, err := OpenAppend(path, Hint{}, AppendOptions{})
	if err != nil || rec.Torn != "" || !rec.Foreign {
		t.Fatal(rec, err)
	}
	mustAddRun(t, a, modelRun{Marker{Begun: day}, nil})
	mustClose(t, a)
	runs, _, _, err := scanned(mustOpen(t, path), ScanOptions{Digest: true})
	if err != nil || len(runs) != 3 || !equalButOffsets(runs[1].entries, []modelEntry{torn, index}) {
		t.Fatalf("%#v, %v", runs, err)
	}
}

// If what it appended behind began within an entry of ours, no tool can read it, and it is moved aside with the rest.
func TestForeignWithinUnfinishedEntry(t *testing.T) {
	path := ours(t, []modelEntry{file(700, 1)})
	want, err := completeEnd(path)
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := OpenAppend(path, Hint{}, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	torn := file(3*MemberSize, 2)
	if _, err := a.Add(torn.Entry, bytes.NewReader(torn.content)); err != nil {
		t.Fatal(err)
	}
	if err := a.d.flush(); err != nil { // the last member of the entry is not written
		t.Fatal(err)
	}
	mustClose(t, a)
	mustAppendForeign(t, path, tarOf([]modelEntry{meta("folders/a/cyrus.index", 10, day.Unix())}))
	if got, err := completeEnd(path); err != nil || got != want {
		t.Errorf("complete up to %v, %v, want %v", got, err, want)
	}
}

// A member of another tool may be of any size: it is scanned and read in bounded memory, forward in one pass.
func TestLargeForeignMember(t *testing.T) {
	entries := []modelEntry{file(100, 1), file(9<<20, 2), file(9<<20, 3), file(300, 4)}
	path := filepath.Join(t.TempDir(), "backupdata-1254182100.tar.gz")
	mustWriteFile(t, path, gzipOf(t, tarOf(entries)))
	a := mustOpen(t, path)
	runs, members, _, err := scanned(a, ScanOptions{})
	if err != nil || len(runs) != 1 || len(members) != 1 || !equalButOffsets(runs[0].entries, entries) {
		t.Fatalf("%d runs, %d members, %v", len(runs), len(members), err)
	}
	if members[0].TarSize <= MaxInflate {
		t.Fatal("the member is too small for this test")
	}
	if _, err := a.Inflate(members[0], nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("Inflate: %v", err)
	}
	// Skipping bodies, and reading only a part of them.
	s := a.Scan(Position{}, members[0].End(), ScanOptions{})
	for i, seen := range []int{0, 10, 512 << 10, 300} {
		e := nextEntry(t, s)
		b := make([]byte, seen)
		if _, err := io.ReadFull(e.Body, b); err != nil || !bytes.Equal(b, entries[i].content[:seen]) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	known := always(members[0])
	c := NewCache(1 << 20)
	interrupted, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.ReadAt(interrupted, a, known, make([]byte, 1), runs[0].entries[3].Data); !errors.Is(err, context.Canceled) {
		t.Errorf("on the way through a large member, interrupted: %v", err)
	}
	for _, i := range []int{1, 2, 3, 0, 2} {
		e := runs[0].entries[i]
		p := make([]byte, e.Size)
		if n, err := c.ReadAt(context.Background(), a, known, p, e.Data); err != nil || n != len(p) || !bytes.Equal(p, e.content) {
			t.Errorf("entry %d: %d bytes, %v", i, n, err)
		}
		if c.held > c.bound {
			t.Errorf("the cache holds %d bytes", c.held)
		}
	}
}

func nextEntry(t *testing.T, s *Scanner) Event {
	t.Helper()
	for {
		e, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == EventEntry {
			return e
		}
	}
}

// A run of a plain tar is told by its entries.
func TestPlainRuns(t *testing.T) {
	index := func(id string, mtime int64) modelEntry { return meta("folders/"+id+"/cyrus.index", 10, mtime) }
	header := func(id string) modelEntry { return meta("folders/"+id+"/cyrus.header", 10, 1) }
	first := []modelEntry{meta("meta/seen", 10, 1), file(5, 1), index("a", 1), header("a"), link("INBOX", "a", 100), file(6, 2), index("b", 1), link("INBOX.B", "b", 100)}
	for name, runs := range map[string][][]modelEntry{
		"one run":             {first},
		"meta first":          {first, {meta("meta/seen", 11, 2), file(9, 3), index("a", 2)}},
		"gone first":          {first, {link("INBOX.B", "", 200), file(9, 3), index("a", 2)}},
		"messages first":      {first, {file(9, 3), file(9, 4), index("a", 2)}},
		"index only":          {first, {index("b", 2)}, {index("b", 3)}, {index("b", 4)}},
		"a new folder first":  {first, {file(9, 3), index("c", 2), link("INBOX.C", "c", 200), index("a", 2)}},
		"renamed":             {first, {link("INBOX.B", "", 200), index("b", 2), header("b"), link("INBOX.C", "b", 200)}},
		"same message twice":  {append(first, file(5, 1), file(5, 1), index("c", 1), link("INBOX.C", "c", 100))},
		"many":                {first, {index("a", 2), index("b", 2)}, {index("a", 3)}, {meta("meta/seen", 3, 9)}, {meta("meta/seen", 3, 10), index("a", 4)}},
		"compacted":           {{file(5, 1), header("a"), link("INBOX", "a", 100), meta("meta/sub", 1, 1), link("INBOX.B", "b", 150), link("INBOX.B", "", 200), file(9, 9), index("a", 5), file(3, 3), link("INBOX.C", "c", 300), index("c", 3)}},
		"compacted, then run": {{file(5, 1), header("a"), meta("meta/sub", 1, 1), index("a", 5)}, {meta("meta/sub", 1, 2), index("a", 6)}},
	} {
		t.Run(name, func(t *testing.T) {
			var tar []byte
			var ends []int64
			for _, entries := range runs {
				tar = append(tar, tarOf(entries)...)
				ends = append(ends, int64(len(tar)))
			}
			path := filepath.Join(t.TempDir(), "backupdata-1254182100.tar")
			for _, tail := range []int{0, 100, 512} { // what a crash left of the next entry
				mustWriteFile(t, path, append(bytes.Clone(tar), tarOf([]modelEntry{file(700, 5)})[:tail]...))
				a := mustOpen(t, path)
				got, _, _, err := scanned(a, ScanOptions{})
				if err != nil || len(got) != len(runs) {
					t.Fatalf("%d runs, want %d, %v; ends %v", len(got), len(runs), err, ends)
				}
				for i, run := range got {
					if run.marker.Offset != ends[i] || !equalButOffsets(run.entries, runs[i]) {
						t.Errorf("run %d ends at %d, want %d", i+1, run.marker.Offset, ends[i])
					}
				}
			}
			if _, _, err := OpenAppend(path, Hint{}, AppendOptions{}); !errors.Is(err, ErrPlain) {
				t.Errorf("OpenAppend: %v", err)
			}
		})
	}
}

// A member is inflated once for all that wait for it, and a failure is not kept.
func TestCacheOnce(t *testing.T) {
	a, m, r := gated(t)
	c := NewCache(1 << 20)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := c.Load(context.Background(), a, always(m), m.Tar); err != nil {
				t.Error(err)
			}
		})
	}
	close(r.gate)
	wg.Wait()
	if r.bodies != 1 {
		t.Errorf("read %d times", r.bodies)
	}

	c = NewCache(1 << 20)
	r.fail = os.ErrPermission
	if err := c.Load(context.Background(), a, always(m), m.Tar); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrDamaged) {
		t.Errorf("a failing disk is told as %v", err)
	}
	r.fail = nil
	if err := c.Load(context.Background(), a, always(m), m.Tar); err != nil {
		t.Errorf("after a failing disk: %v", err)
	}
}

// TestCacheReuse: many readers of a cache that holds few of the members: nobody's bytes change under him, and what is held is bounded.
func TestCacheReuse(t *testing.T) {
	var entries []modelEntry
	for i := range 40 {
		entries = append(entries, file(100<<10+i, uint64(i)))
	}
	a := mustOpen(t, ours(t, entries))
	var members []Member
	for m, err := range a.Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	runs, _, _, err := scanned(a, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	entries = runs[0].entries
	find := func(tar int64) (Member, error) { return holder(members, tar), nil }
	c := NewCache(3 * MemberSize)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 0))
			for range 200 {
				e := entries[rng.IntN(len(entries))]
				seen := 0
				err := c.View(context.Background(), a, Known{Member: find}, e.Data, func(data []byte, start int64) error {
					seen++
					runtime.Gosched()
					if from := e.Data - start; !bytes.HasPrefix(data[from:], e.content[:min(e.Size, int64(len(data))-from)]) {
						t.Errorf("%s: other bytes", e.Name)
					}
					return nil
				})
				if err != nil || seen != 1 {
					t.Error(seen, err)
				}
				whole := make([]byte, e.Size)
				if _, err := c.ReadAt(context.Background(), a, Known{Member: find}, whole, e.Data); err != nil || !bytes.Equal(whole, e.content) {
					t.Errorf("%s: read as a whole: %v", e.Name, err)
				}
			}
		})
	}
	wg.Wait()
	if c.held > c.bound || len(c.free) > maxFree {
		t.Errorf("%d bytes and %d buffers are held", c.held, len(c.free))
	}
	for _, p := range c.pieces {
		if p.users != 0 {
			t.Errorf("%d users are left", p.users)
		}
	}
}

// TestCacheInterrupted: who is interrupted waits no longer, and leaves the work to the next who waits.
func TestCacheInterrupted(t *testing.T) {
	a, m, r := gated(t)
	c := NewCache(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Load(context.Background(), a, always(m), m.Tar); err != nil {
			t.Errorf("who inflates: %v", err)
		}
	})
	for c.pieceOf(m) == nil {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := c.Load(ctx, a, always(m), m.Tar); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits and is interrupted: %v", err)
	}
	close(r.gate)
	wg.Wait()

	// The one who inflates is interrupted.
	c = NewCache(1 << 20)
	key := pieceKey{1, 2, 3}
	started, go1 := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		_, err := c.get(context.Background(), key, func(*piece) error {
			close(started)
			<-go1
			return context.Canceled
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("who is interrupted: %v", err)
		}
	})
	<-started
	wg.Go(func() {
		p, err := c.get(context.Background(), key, func(p *piece) error { p.data = []byte("done"); return nil })
		if err != nil || string(p.data) != "done" {
			t.Errorf("who waited: %v", err)
		}
	})
	close(go1)
	wg.Wait()
}

// always knows one member.
func always(m Member) Known {
	return Known{Member: func(int64) (Member, error) { return m, nil }}
}

func (c *Cache) pieceOf(m Member) *piece {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.pieces {
		if k.file == m.File {
			return p
		}
	}
	return nil
}

// gated is an archive whose first member can be inflated once the reader's gate is open.
func gated(t *testing.T) (a *Archive, m Member, r *countingReader) {
	path := ours(t, []modelEntry{file(200<<10, 1)})
	opened := mustOpen(t, path)
	for m = range opened.Members(Position{}) {
		break
	}
	r = &countingReader{r: opened.r, gate: make(chan struct{})}
	return NewArchive(r, opened.Size, path), m, r
}

// countingReader counts reads of more than a header.
type countingReader struct {
	r      io.ReaderAt
	gate   chan struct{}
	mu     sync.Mutex
	bodies int
	fail   error
}

func (r *countingReader) ReadAt(p []byte, off int64) (int, error) {
	<-r.gate
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return 0, r.fail
	}
	if len(p) > MemberHeaderSize {
		r.bodies++
	}
	return r.r.ReadAt(p, off)
}
