package index_test

import (
	"context"
	"crypto/sha1"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
)

// entry is one of the tar stream; link "sha1" stands for the digest of body.
type entry struct{ name, link, body string }

func (e entry) add(t testing.TB, app *archive.Appender) {
	t.Helper()
	a := archive.Entry{Name: e.name, Linkname: e.link, Type: archive.TypeFile, Size: int64(len(e.body))}
	if strings.HasPrefix(e.name, "imap/") {
		a.Type = archive.TypeLink
	}
	if e.link == "sha1" {
		a.Linkname = digest(e.body).String()
	}
	if _, err := app.Add(a, strings.NewReader(e.body)); err != nil {
		t.Fatal(err)
	}
}

func digest(body string) cyrus.GUID { return sha1.Sum([]byte(body)) }

func file(body string) entry { return entry{"files/" + digest(body).String(), "sha1", body} }

func indexOf(t testing.TB, messages ...indextest.Message) entry {
	return entry{"folders/a/cyrus.index", "sha1", string(indextest.Folder{Messages: messages}.Index(t))}
}

func backupfs(lines ...string) entry {
	return entry{"folders/a/cyrus.backupfs", "sha1", "backupfs-folder 1\n" + strings.Join(append(lines, ""), "\n")}
}

// mustIndex makes an archive of runs, those of another tool as a plain gzip member, and its index.
func mustIndex(t *testing.T, runs ...[]entry) (*index.Index, *archive.Archive) {
	t.Helper()
	dir := indextest.Store(t)
	app, err := archive.Create(dir, time.Unix(1254175711, 0), archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	path := app.Path()
	for _, run := range runs {
		add := func(app *archive.Appender) {
			for _, e := range run {
				if e != another {
					e.add(t, app)
				}
			}
		}
		if !slices.Contains(run, another) {
			add(app)
			_, err = app.Finish(archive.Marker{Begun: time.Unix(1254175711, 0), Ended: time.Unix(1254175711, 0)})
		} else {
			app.Close()
			mustAppendForeign(t, path, add)
			app, _, err = archive.OpenAppend(path, archive.Hint{}, archive.AppendOptions{Workers: 1})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	ix, a := mustOpenWrite(t, filepath.Join(dir, "index.sqlite3")), mustOpen(t, path)
	if err := ix.CatchUp(context.Background(), a, nil); err != nil {
		t.Fatal(err)
	}
	return ix, a
}

// another marks a run of another tool.
var another = entry{name: "another tool"}

// TestMeaning is docs/format.md in examples: what the messages of folder a are as of each run, as UID, "expunged", and what
// stands at their place in the archive.
func TestMeaning(t *testing.T) {
	one, two := indextest.Message{UID: 1, Body: "one"}, indextest.Message{UID: 2, Body: "two"}
	expunged := one
	expunged.Expunged = true
	unlinked := one
	unlinked.Unlinked = true
	v9 := entry{"folders/a/cyrus.index", "sha1", string(indextest.Folder{Version: 9, Messages: []indextest.Message{one, two}}.Index(t))}
	gone := entry{name: "folders/a/cyrus.index"}
	for _, c := range []struct {
		name     string
		runs     [][]entry
		want     []string
		problems int
	}{
		{"a later copy of a message is ignored", [][]entry{{file("one"), {file("one").name, "sha1", "changed"}, indexOf(t, one)}, {{file("one").name, "sha1", "again"}}},
			[]string{"1 one", "1 one"}, 0},
		{"a message is never gone", [][]entry{{{name: file("one").name}, file("one"), indexOf(t, one)}}, []string{"1 one"}, 0},
		{"an empty message needs no link name", [][]entry{{{name: file("").name}, indexOf(t, indextest.Message{UID: 1})}}, []string{"1 "}, 0},
		{"of a UID that is there twice the later record counts", [][]entry{{file("one"), file("two"), indexOf(t, one, indextest.Message{UID: 1, Body: "two"})}}, []string{"1 two"}, 0},
		{"records in disorder", [][]entry{{file("one"), file("two"), indexOf(t, two, one)}}, []string{"1 one, 2 two"}, 0},
		{"expunged, then unlinked", [][]entry{{file("one"), indexOf(t, one)}, {indexOf(t, expunged)}, {indexOf(t, unlinked)}}, []string{"1 one", "1 expunged one", ""}, 0},
		{"missing, and found for another message", [][]entry{{indexOf(t, one), backupfs("missing 1")}, {file("one")}}, []string{"1 one", "1 one"}, 0},
		{"missing", [][]entry{{indexOf(t, one), backupfs("missing 1")}}, []string{"1 missing"}, 0},
		{"not missing, and not there", [][]entry{{indexOf(t, one), backupfs()}}, []string{"1 lost"}, 0},
		{"missing, then there, and lost", [][]entry{{indexOf(t, one), backupfs("missing 1")}, {indexOf(t, one), backupfs()}}, []string{"1 missing", "1 lost"}, 0},
		{"lost, and found for another message", [][]entry{{indexOf(t, one), backupfs()}, {file("one")}}, []string{"1 one", "1 one"}, 0},
		{"stored as found", [][]entry{{file("two"), indexOf(t, one), backupfs("message 1 " + digest("two").String())}}, []string{"1 two"}, 0},
		{"exceptions before the index", [][]entry{{file("two"), backupfs("message 1 " + digest("two").String()), indexOf(t, one)}}, []string{"1 two"}, 0},
		{"exceptions without an index change nothing", [][]entry{{file("one"), file("two"), indexOf(t, one), backupfs()}, {backupfs("message 1 " + digest("two").String())}}, []string{"1 one", "1 one"}, 0},
		{"an index without exceptions has none", [][]entry{{file("one"), file("two"), indexOf(t, one), backupfs("message 1 " + digest("two").String())}, {indexOf(t, one)}}, []string{"1 two", "1 one"}, 0},
		{"no digests in version 9", [][]entry{{file("one"), v9, backupfs("message 1 "+digest("one").String(), "missing 2")}}, []string{"1 one, 2 missing"}, 0},
		{"the last index of a run counts", [][]entry{{file("one"), indexOf(t, one)}, {file("two"), indexOf(t, one, two), backupfs(), indexOf(t, two)}}, []string{"1 one", "2 two"}, 0},
		{"an index that is gone", [][]entry{{file("one"), indexOf(t, one)}, {gone}}, []string{"1 one", ""}, 0},
		{"a damaged index", [][]entry{{file("one"), indexOf(t, one)}, {{"folders/a/cyrus.index", "sha1", "damaged"}}, {file("two"), indexOf(t, one, two)}},
			[]string{"1 one", "1 one", "1 one, 2 two"}, 1},
		{"damaged exceptions", [][]entry{{file("one"), indexOf(t, one), {"folders/a/cyrus.backupfs", "sha1", "damaged"}}}, []string{"1 one"}, 1},
		{"another tool's run", [][]entry{{file("one"), indexOf(t, one)}, {another, file("two"), indexOf(t, one, two)}}, []string{"1 one", "1 one, 2 two"}, 0},
		{"unknown names", [][]entry{{{"folders/a/cyrus.colour", "sha1", "x"}, {"files/1", "sha1", "x"}, {"meta/colour", "sha1", "x"}}}, []string{""}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ix, a := mustIndex(t, c.runs...)
			for i, want := range c.want {
				if got := messagesOf(t, ix, a, i+1); got != want {
					t.Errorf("as of run %d: %q, not %q", i+1, got, want)
				}
			}
			problems, err := ix.Problems()
			if err != nil || len(problems) != c.problems {
				t.Errorf("problems %+v, %v", problems, err)
			}
		})
	}
}

func messagesOf(t testing.TB, ix *index.Index, a *archive.Archive, run int) string {
	t.Helper()
	var out []string
	for m, err := range ix.Messages(1, run) {
		if err != nil {
			t.Fatal(err)
		}
		word := "missing"
		switch {
		case m.Lost:
			word = "lost"
		case m.Tar >= 0:
			word = string(mustRead(t, ix, a, m.Tar, m.Size))
		}
		if m.Expunged {
			word = "expunged " + word
		}
		out = append(out, fmt.Sprint(m.UID, " ", word))
	}
	return strings.Join(out, ", ")
}

// TestNames: links of a run in any order; of each name the last counts, and another tool's are made canonical.
func TestNames(t *testing.T) {
	link := func(name, id string) entry { return entry{"imap/" + name + "/", id, ""} }
	ix, _ := mustIndex(t,
		[]entry{link("INBOX", "a"), link("INBOX.B", "b"), link("INBOX.B", ""), link("INBOX.C", "b"), link("INBOX.C", "c")},
		[]entry{link("INBOX.C", ""), link("INBOX.D", "c"), link("INBOX.D.E", "b"), link("INBOX.never", "")},
		[]entry{another, link("D/E", ""), link("v1.2", "b")},
	)
	for i, want := range []string{"INBOX=a INBOX.C=c", "INBOX=a INBOX.D=c INBOX.D.E=b", "INBOX=a INBOX.D=c INBOX.v1^2=b"} {
		folders, err := ix.Folders(i + 1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range folders {
			got = append(got, f.Archived+"="+f.UniqueID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("run %d: %q, not %q", i+1, got, want)
		}
	}
}

// TestFingerprint: it is of the last run that brought a file of the folder, and unknown if that said none.
func TestFingerprint(t *testing.T) {
	body := indextest.Message{UID: 1, Body: "one"}
	mismatch := "message 1 " + digest("two").String()
	runs := [][]entry{
		{file("two"), indexOf(t, body), backupfs("fingerprint x", mismatch)},
		{backupfs("fingerprint y")},
		{entry{"meta/sub", "", "INBOX\t\n"}},
		{another, {"folders/a/cyrus.header", "", "header"}},
	}
	for n, want := range []string{"x", "y", "y", ""} {
		ix, _ := mustIndex(t, runs[:n+1]...)
		states, err := ix.States()
		if err != nil {
			t.Fatal(err)
		}
		s := states["a"]
		if s.Fingerprint != want || s.Exceptions.Message[1] != digest("two") {
			t.Errorf("after %d runs: %+v, not %q", n+1, s, want)
		}
		if n == 3 && s.Metas["cyrus.header"].SHA1 != digest("header") {
			t.Errorf("%+v", s.Metas)
		}
	}
}
