package archive

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"backupfs/internal/durable"
)

// frozen is an archive as version 1 wrote it once and for all: every later version must read it. It has two runs of ours,
// one of another tool behind them, and a last one of ours.
const frozen = "testdata/frozen/v1-1254182100.tar.gz"

// frozenModel is what frozen holds.
func frozenModel() []modelRun {
	file := func(name string, size int) modelEntry {
		b := content(min(size, 1000), uint64(size))
		b = append(b, make([]byte, size-len(b))...)
		sum := fmt.Sprintf("%x", sha1.Sum(b))
		if name == "" {
			name = "files/" + sum
		}
		return modelEntry{Entry{Name: name, Linkname: sum, Type: TypeFile, Size: int64(size), Mtime: 1254175711, Inode: 4711}, b}
	}
	link := func(name, id string, day int) modelEntry {
		return modelEntry{Entry: Entry{Name: "imap/" + name + "/", Linkname: id, Type: TypeLink, Mtime: frozenTime(day).Unix()}}
	}
	const long = "INBOX.A name of more than one hundred bytes &AOk-.0123456789.0123456789.0123456789.0123456789.0123456789.0123456789"
	return []modelRun{
		{frozenMarker(0), []modelEntry{
			file("meta/sub", 57), file("", 0), file("", 512), file("", 300000), file("folders/7f9c7374-a80d/cyrus.index", 480),
			link("INBOX", "7f9c7374-a80d", 0), link(long, "52a35c55-aee3", 0),
		}},
		{frozenMarker(1), nil},
		{frozenMarker(2), []modelEntry{file("meta/sub", 60), link(long, "", 2)}},
		{frozenMarker(3), []modelEntry{file("", 531), file("folders/7f9c7374-a80d/cyrus.index", 576)}},
	}
}

func frozenTime(day int) time.Time { return time.Unix(1254182100, 0).UTC().AddDate(0, 0, day) }

func frozenMarker(day int) Marker {
	return Marker{Begun: frozenTime(day), Ended: frozenTime(day).Add(time.Minute), User: "brong", Source: "imap1.example.com",
		Folders: 2, Messages: 3, Bytes: 70512, NewMessages: day, NewBytes: 531, Missing: day}
}

func TestFrozen(t *testing.T) {
	model := frozenModel()
	if *update {
		writeFrozen(t, model)
	}
	a := mustOpen(t, frozen)
	runs, members, _, err := scanned(a, ScanOptions{Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != len(model) {
		t.Fatalf("%d runs, want %d", len(runs), len(model))
	}
	for i, run := range runs {
		if !equalButOffsets(run.entries, model[i].entries) {
			t.Errorf("run %d: %#v, want %#v", i+1, run.entries, model[i].entries)
		}
		want := model[i].marker
		got := run.marker
		if i == 2 { // inferred
			want = Marker{Run: 3, Begun: frozenTime(2), Ended: frozenTime(2), Offset: got.Offset}
		} else {
			want.Format, want.Run, want.Offset, want.Digest = 1, i+1, got.Offset, got.Digest
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("run %d: marker %+v, want %+v", i+1, got, want)
		}
	}
	if len(members) != 7 || members[0].ID != 0xdeadbeef {
		t.Errorf("%d members, %+v", len(members), members)
	}
}

// equalButOffsets compares entries, wherever they stand.
func equalButOffsets(a, b []modelEntry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		x.Offset, x.Data, y.Offset, y.Data = 0, 0, 0, 0
		if !x.equal(y) {
			return false
		}
	}
	return true
}

// writeFrozen writes the archive anew. That is right only before its version was released.
func writeFrozen(t *testing.T, model []modelRun) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(frozen), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(frozen)
	f, err := durable.Create(frozen)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newAppender(f, 0xdeadbeef, AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, run := range model {
		if i == 2 {
			mustClose(t, a)
			mustAppendForeign(t, frozen, tarOf(run.entries))
			if a, _, err = OpenAppend(frozen, Hint{}, AppendOptions{Workers: 1}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		mustAddRun(t, a, run)
	}
	mustClose(t, a)
}

func mustAddRun(t *testing.T, a *Appender, run modelRun) Run {
	t.Helper()
	for _, e := range run.entries {
		if _, err := a.Add(e.Entry, bytes.NewReader(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := a.Finish(run.marker)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustClose(t *testing.T, a *Appender) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// tarOf is the tar stream of entries.
func tarOf(entries []modelEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(appendHeaders(b, e.Entry), e.content...)
		b = append(b, make([]byte, padded(e.Size)-e.Size)...)
	}
	return b
}

// gzipOf is a gzip member as another tool writes it.
func gzipOf(t testing.TB, tar []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(tar); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// mustAppendForeign does what Cyrus's tools do: gzip >> path.
func mustAppendForeign(t *testing.T, path string, tar []byte) {
	t.Helper()
	mustAppendBytes(t, path, gzipOf(t, tar))
}

func mustAppendBytes(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
