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
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

// A model is what an archive must hold: the runs, each with its entries.
type modelRun struct {
	marker  Marker
	entries []modelEntry
}

type modelEntry struct {
	Entry
	content []byte
}

// GoString is what a failing property test prints: all but the content.
func (e modelEntry) GoString() string { return fmt.Sprintf("%+v", e.Entry) }

var day = time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC)

// Sizes at which something changes: a block, an entry kept whole, a member; and some between.
func sizes() *rapid.Generator[int] {
	return rapid.OneOf(
		rapid.SampledFrom([]int{0, 1, 511, 512, 513, 1024, WholeSize - 1024, WholeSize - 513, WholeSize - 512, WholeSize - 511, WholeSize,
			MemberSize - 1024, MemberSize - 512, MemberSize - 511, MemberSize, MemberSize + 1, 2*MemberSize - 512, 3 << 20}),
		rapid.IntRange(0, 8000), rapid.IntRange(0, 8000), rapid.IntRange(0, 8000), rapid.IntRange(0, 2*MemberSize))
}

// content makes bytes that are neither all alike nor without pattern, from a seed.
func content(size int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, size)
	for i := 0; i < len(b); i += 64 {
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(rng.Uint32())
		}
	}
	return b
}

func entries() *rapid.Generator[modelEntry] {
	return rapid.Custom(func(t *rapid.T) modelEntry {
		e := modelEntry{Entry: Entry{
			Type:  TypeFile,
			Mtime: rapid.Int64Range(0, maxMtime).Draw(t, "mtime"),
			Inode: rapid.Uint64Range(0, maxInode).Draw(t, "inode"),
		}}
		word := rapid.StringOfN(rapid.RuneFrom([]rune("abc.^ &-é日'\"\\\n%")), 1, 60, -1).
			Filter(func(w string) bool { return w != "." && w != ".." }) // see TestAddRefuses
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			e.Type, e.Inode = TypeLink, 0
			e.Name = "imap/" + strings.Join(rapid.SliceOfN(word, 1, 6).Draw(t, "name"), ".") + "/"
			e.Linkname = rapid.SampledFrom([]string{"", "x", strings.Repeat("u", 100), strings.Repeat("u", 101), strings.Repeat("v", 700)}).Draw(t, "link")
			return e
		case 1:
			e.Name = fmt.Sprintf("folders/%s/cyrus.index", strings.ReplaceAll(word.Draw(t, "id"), "/", "-"))
		case 2:
			e.Name = "meta/" + rapid.SampledFrom([]string{"seen", "sub"}).Draw(t, "name")
		}
		e.content = content(sizes().Draw(t, "size"), rapid.Uint64().Draw(t, "seed"))
		e.Linkname = fmt.Sprintf("%x", sha1.Sum(e.content))
		e.Size = int64(len(e.content))
		if e.Name == "" {
			e.Name = "files/" + e.Linkname
		}
		return e
	})
}

// Whatever is added in whatever runs comes out again: by Scanner, by Cache at any offset, by GNU tar and by Python.
func TestModel(t *testing.T) {
	withoutSyncs(t)
	testenv.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		opts := AppendOptions{Level: rapid.SampledFrom([]int{0, 1, 9}).Draw(rt, "level"), Workers: rapid.IntRange(1, 3).Draw(rt, "workers")}
		ap, err := Create(dir, day, opts)
		if err != nil {
			rt.Fatal(err)
		}
		path := ap.Path()
		var model []modelRun
		var hint, end Position
		for i := range rapid.IntRange(1, 4).Draw(rt, "runs") {
			if i > 0 && rapid.Bool().Draw(rt, "reopen") {
				if err := ap.Close(); err != nil {
					rt.Fatal(err)
				}
				var rec Recovered
				if ap, rec, err = OpenAppend(path, Hint{Position: hint}, opts); err != nil || rec != (Recovered{}) {
					rt.Fatal(rec, err)
				}
				if last, ok := ap.Last(); !ok || last.Run != i || last.End != end {
					rt.Fatalf("last run is %+v, %v", last, ok)
				}
			}
			run := modelRun{marker: Marker{
				Begun: day.AddDate(0, 0, i), Ended: day.AddDate(0, 0, i).Add(time.Minute),
				User: "brong", Source: "imap1", Folders: i, Skipped: []string{"a<b"},
			}}
			for _, e := range rapid.SliceOfN(entries(), 0, 16).Draw(rt, "entries") {
				if e.Entry, err = ap.Add(e.Entry, bytes.NewReader(e.content)); err != nil {
					rt.Fatal(err)
				}
				run.entries = append(run.entries, e)
			}
			r, err := ap.Finish(run.marker)
			if err != nil {
				rt.Fatal(err)
			}
			run.marker = r.Marker
			model = append(model, run)
			hint, end = r.End, r.End
			if rapid.Bool().Draw(rt, "forget") {
				hint = Position{}
			}
			if rapid.IntRange(0, 3).Draw(rt, "torn") == 0 {
				// What is added and not finished did not happen.
				if _, err := ap.Add(Entry{Name: "meta/torn", Type: TypeFile, Size: 1000}, bytes.NewReader(make([]byte, 1000))); err != nil {
					rt.Fatal(err)
				}
				ap.cut()
				if err := ap.Close(); err != nil {
					rt.Fatal(err)
				}
				var rec Recovered
				if ap, rec, err = OpenAppend(path, Hint{Position: hint}, opts); err != nil || rec.TornBytes == 0 || rec.Torn == "" {
					rt.Fatal(rec, err)
				}
			}
		}
		if err := ap.Close(); err != nil {
			rt.Fatal(err)
		}
		a, err := Open(path)
		if err != nil {
			rt.Fatal(err)
		}
		defer a.Close()
		checkScan(rt, a, model)
		checkBytes(rt, a, model)
		checkTools(rt, path, model)
	})
}

// fataler is what testing and rapid have in common.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// scanned reads an archive up to its last complete run, as a model.
func scanned(a *Archive, opts ScanOptions) (runs []modelRun, members []Member, damage []Damage, err error) {
	end, err := a.Complete(Position{})
	if err != nil {
		return nil, nil, nil, err
	}
	s := a.Scan(Position{}, end, opts)
	var run modelRun
	for {
		e, err := s.Next()
		if err == io.EOF {
			if len(run.entries) > 0 {
				runs = append(runs, run)
			}
			return runs, members, damage, nil
		}
		if err != nil {
			return runs, members, damage, err
		}
		switch e.Kind {
		case EventMember:
			members = append(members, e.Member)
		case EventDamage:
			damage = append(damage, e.Damage)
		case EventEntry:
			b, err := io.ReadAll(e.Body)
			if opts.Resync && errors.Is(err, ErrDamaged) {
				continue // the entry is lost
			} else if err != nil {
				return runs, members, damage, err
			}
			run.entries = append(run.entries, modelEntry{e.Entry, b})
		case EventRun:
			run.marker = e.Run.Marker
			runs = append(runs, run)
			run = modelRun{}
		}
	}
}

func (e modelEntry) equal(f modelEntry) bool {
	return e.Entry == f.Entry && bytes.Equal(e.content, f.content)
}

func checkScan(t fataler, a *Archive, model []modelRun) {
	t.Helper()
	runs, members, _, err := scanned(a, ScanOptions{Digest: true, FirstRun: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != len(model) {
		t.Fatalf("%d runs, want %d", len(runs), len(model))
	}
	for i := range runs {
		if !reflect.DeepEqual(runs[i].marker, model[i].marker) {
			t.Errorf("run %d: marker %+v, want %+v", i, runs[i].marker, model[i].marker)
		}
		if !slices.EqualFunc(runs[i].entries, model[i].entries, modelEntry.equal) {
			t.Fatalf("run %d: entries differ", i)
		}
	}
	var hopped []Member
	for m, err := range a.Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		hopped = append(hopped, m)
	}
	if !slices.Equal(hopped, members) {
		t.Errorf("%d members hopped over, %d scanned, or they differ", len(hopped), len(members))
	}
	checkMembers(t, members, model)
}

// checkMembers checks the cut: no member too large, no small entry in two, and First.
func checkMembers(t fataler, members []Member, model []modelRun) {
	t.Helper()
	firsts := map[int64]uint32{} // by the member's offset
	for _, run := range model {
		for _, e := range run.entries {
			m := holder(members, e.Offset)
			if end := e.Data + padded(e.Size); end-e.Offset <= WholeSize && end > m.End().Tar {
				t.Errorf("entry of %d bytes at %d goes beyond its member's end %d", end-e.Offset, e.Offset, m.End().Tar)
			}
			if _, ok := firsts[m.Tar]; !ok {
				firsts[m.Tar] = uint32(e.Offset - m.Tar)
			}
		}
	}
	for _, m := range members {
		want, ok := firsts[m.Tar]
		if !ok && !m.Marker {
			want = NoEntry
		}
		if m.First != want || m.TarSize > MemberSize {
			t.Errorf("member %+v, first entry should be %d", m, want)
		}
	}
}

func holder(members []Member, tar int64) Member {
	i := sort.Search(len(members), func(i int) bool { return members[i].End().Tar > tar })
	return members[i]
}

func checkBytes(t *rapid.T, a *Archive, model []modelRun) {
	t.Helper()
	var members []Member
	for m, err := range a.Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	find := func(tar int64) (Member, error) { return holder(members, tar), nil }
	c := NewCache(rapid.SampledFrom([]int64{0, 600 << 10, 64 << 20}).Draw(t, "cache"))
	for _, run := range model {
		for _, e := range run.entries {
			if e.Size == 0 {
				continue
			}
			off := rapid.Int64Range(0, e.Size-1).Draw(t, "off")
			n := rapid.Int64Range(0, e.Size-off).Draw(t, "len")
			p := make([]byte, n)
			if got, err := c.ReadAt(context.Background(), a, Known{Member: find}, p, e.Data+off); int64(got) != n || err != nil {
				t.Fatal(got, err)
			}
			if !bytes.Equal(p, e.content[off:off+int64(len(p))]) {
				t.Fatalf("%d bytes at %d of %q differ", len(p), off, e.Name)
			}
		}
	}
	if c.held > c.bound {
		t.Errorf("the cache holds %d bytes, and may hold %d", c.held, c.bound)
	}
}

func mustOpen(t *testing.T, path string) *Archive {
	t.Helper()
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}
