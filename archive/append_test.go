package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sync/errgroup"
)

// What an entry may not be is refused before anything is written, and the run goes on.
func TestAddRefuses(t *testing.T) {
	withoutSyncs(t)
	a, err := Create(t.TempDir(), day, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Entry{
		{Name: "", Type: TypeFile},
		{Name: "files/", Type: TypeFile},
		{Name: "annot/x", Type: TypeFile},
		{Name: "folders/x", Type: TypeFile},
		{Name: "folders//cyrus.index", Type: TypeFile},
		{Name: "folders/x/dovecot.index", Type: TypeFile},
		{Name: "folders/x/cyrus.index/y", Type: TypeFile},
		{Name: "folders/../cyrus.index", Type: TypeFile},
		{Name: "files/../../etc/passwd", Type: TypeFile},
		{Name: "imap/../", Type: TypeLink},
		{Name: "imap/a/./b/", Type: TypeLink},
		{Name: MarkerName, Type: TypeFile},
		{Name: "meta/a\x00b", Type: TypeFile},
		{Name: "meta/" + strings.Repeat("x", MaxName), Type: TypeFile},
		{Name: "meta/a", Linkname: strings.Repeat("x", MaxName+1), Type: TypeFile},
		{Name: "meta/a", Type: '5'},
		{Name: "meta/a", Type: TypeFile, Size: -1},
		{Name: "imap/a/", Type: TypeLink, Size: 1},
	} {
		if _, err := a.Add(e, bytes.NewReader(nil)); !errors.Is(err, ErrEntry) {
			t.Errorf("%.60q: %v", e.Name, err)
		}
	}
	mustAddRun(t, a, modelRun{Marker{Begun: day}, []modelEntry{file(10, 1), link(strings.Repeat("x", MaxName-6), strings.Repeat("y", MaxName), 0)}})
	mustClose(t, a)
	runs, _, _, err := scanned(mustOpen(t, a.Path()), ScanOptions{Digest: true})
	if err != nil || len(runs) != 1 || len(runs[0].entries) != 2 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	if _, err := a.Add(file(1, 1).Entry, bytes.NewReader(make([]byte, 1))); err == nil {
		t.Error("a closed archive is added to")
	}
}

// Content of another length than announced, or that cannot be read, loses the run, and no other.
func TestAddWrongContent(t *testing.T) {
	withoutSyncs(t)
	for name, r := range map[string]io.Reader{
		"shorter": bytes.NewReader(make([]byte, 300000-1)),
		"longer":  bytes.NewReader(make([]byte, 300000+1)),
		"empty":   bytes.NewReader(nil),
		"failing": io.MultiReader(bytes.NewReader(make([]byte, 299999)), iotest.ErrReader(errDisk)),
	} {
		path := ours(t, []modelEntry{file(10, 1)})
		a, _, err := OpenAppend(path, Hint{}, AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = a.Add(Entry{Name: "files/x", Type: TypeFile, Size: 300000}, r); err == nil || name == "failing" && !errors.Is(err, errDisk) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := a.Finish(Marker{}); !errors.Is(err, ErrPoisoned) {
			t.Errorf("%s, then Finish: %v", name, err)
		}
		mustClose(t, a)
		a, rec, err := OpenAppend(path, Hint{}, AppendOptions{})
		if last, _ := a.Last(); err != nil || last.Run != 1 || (rec.Torn == "") != (name == "empty") {
			t.Errorf("%s: %+v, %v", name, rec, err)
		}
		mustClose(t, a)
	}
}

// Numbers and times of runs rise, whatever the clock says; a list of skipped folders that is too long is cut.
func TestMarkers(t *testing.T) {
	withoutSyncs(t)
	a, err := Create(t.TempDir(), day, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, 20000)
	for i := range many {
		many[i] = fmt.Sprintf("INBOX.<folder> number %d", i)
	}
	zone := time.FixedZone("CEST", 7200)
	want := []Marker{
		mustAddRun(t, a, modelRun{marker: Marker{Begun: day.In(zone).Add(time.Millisecond), Ended: day.Add(-time.Hour)}}).Marker,
		mustAddRun(t, a, modelRun{marker: Marker{Begun: day.AddDate(0, 0, -1), Skipped: many}}).Marker,
	}
	mustClose(t, a)
	runs, _, _, err := scanned(mustOpen(t, a.Path()), ScanOptions{Digest: true})
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	for i, m := range want {
		if m.Run != i+1 || !m.Begun.Equal(day) || m.Ended.Before(m.Begun) || m.Format != Version || !reflect.DeepEqual(runs[i].marker, m) {
			t.Errorf("run %d: %+v", i+1, m)
		}
	}
}

// Readers of complete runs see what they hold, while others are added, given up and recovered.
func TestReadersBesideAppender(t *testing.T) {
	withoutSyncs(t)
	first := []modelEntry{file(1000, 1), file(300000, 2), file(10, 3)}
	path := ours(t, first)
	var g errgroup.Group
	done := make(chan struct{})
	for range 3 {
		g.Go(func() error {
			a, err := Open(path)
			if err != nil {
				return err
			}
			defer a.Close()
			for runs, last := 0, false; ; {
				select {
				case <-done:
					last = true
				default:
				}
				got, _, _, err := scanned(a, ScanOptions{Digest: true})
				if err != nil {
					return err
				}
				if len(got) < runs || !equalButOffsets(got[0].entries, first) || last && len(got) != 21 {
					return fmt.Errorf("%d runs, and before %d", len(got), runs)
				}
				if runs = len(got); last {
					return nil
				}
			}
		})
	}
	for i := range 20 {
		if i%3 == 0 { // a run that is given up
			a, _, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			e := file(600000, uint64(i))
			if _, err := a.Add(e.Entry, bytes.NewReader(e.content)); err != nil {
				t.Fatal(err)
			}
			mustClose(t, a)
		}
		a, _, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		mustAddRun(t, a, modelRun{Marker{Begun: day}, []modelEntry{file(300000+i, uint64(i)), file(100, uint64(i))}})
		mustClose(t, a)
	}
	close(done)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
