package index_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// anyEntry is an entry as no sane writer would write it: names in any order and again, contents damaged, gone or those of others.
func anyEntry(t testing.TB, r *rapid.T) (archive.Entry, string) {
	draw := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(r, what) }
	body := draw("body", "", "one", "two", "three")
	e := archive.Entry{Type: archive.TypeFile, Mtime: int64(rapid.IntRange(0, 2_000_000_000).Draw(r, "mtime"))}
	switch id := draw("id", "a", "b"); rapid.IntRange(0, 5).Draw(r, "kind") {
	case 0:
		e.Type, e.Name = archive.TypeLink, "imap/"+draw("name", "INBOX", "INBOX.A", "A", "A/B", "A.B", "")+"/"
		e.Linkname = draw("link", "", "a", "b", "c")
		return e, ""
	case 1:
		e.Name = "meta/" + draw("meta", "seen", "sub", "other")
	case 2, 3:
		e.Name = "folders/" + id + "/cyrus.index"
		f := indextest.Folder{UniqueID: id, Version: rapid.SampledFrom([]uint32{9, 20}).Draw(r, "version")}
		for range rapid.IntRange(0, 3).Draw(r, "messages") {
			f.Messages = append(f.Messages, indextest.Message{
				UID:      uint32(rapid.IntRange(1, 3).Draw(r, "uid")), // in any order, and twice
				Body:     draw("of", "", "one", "two", "three"),
				Expunged: rapid.Bool().Draw(r, "expunged"),
			})
		}
		body = string(f.Index(t))
		if rapid.IntRange(0, 4).Draw(r, "damaged") == 0 {
			body = body[:rapid.IntRange(0, len(body)-1).Draw(r, "cut")]
		}
	case 4:
		e.Name = "folders/" + id + "/" + draw("file", "cyrus.backupfs", "cyrus.header", "cyrus.other")
		if strings.HasSuffix(e.Name, "backupfs") {
			body = draw("exceptions", "", "backupfs-folder 2\n", "backupfs-folder 1\nfingerprint x\n",
				fmt.Sprintf("backupfs-folder 1\nmessage 1 %x\nmissing 2\n", sha1.Sum([]byte("two"))))
		}
	default:
		e.Name = "files/" + draw("digest", fmt.Sprintf("%x", sha1.Sum([]byte(body))), "no digest")
	}
	e.Size = int64(len(body))
	e.Linkname = draw("digest", "", fmt.Sprintf("%x", sha1.Sum([]byte(body))))
	return e, body
}

// mustAppendForeign appends what Finish of another tool would leave: a gzip member of the entries without our field and marker.
func mustAppendForeign(t testing.TB, path string, add func(*archive.Appender)) {
	app, err := archive.Create(t.TempDir(), time.Unix(0, 0), archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	add(app)
	if _, err := app.Finish(archive.Marker{}); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, app.Path())
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	for m, err := range a.Members(archive.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Marker {
			break
		}
		b, err := a.Inflate(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(b)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(member.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// TestAnyOrder: whatever the entries are and in whatever order, an index that is caught up run by run is that of a
// rebuild, and its rules hold.
func TestAnyOrder(t *testing.T) {
	root := indextest.Store(t)
	n := 0
	testenv.Check(t, func(r *rapid.T) {
		tb := indextest.Rapid(t, r)
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			r.Fatal(err)
		}
		begun := time.Unix(1254175711, 0)
		app, err := archive.Create(dir, begun, archive.AppendOptions{Workers: 1})
		if err != nil {
			r.Fatal(err)
		}
		path := app.Path()
		ix := mustOpenWrite(tb, filepath.Join(dir, "index.sqlite3"))
		for range rapid.IntRange(1, 4).Draw(r, "runs") {
			add := func(app *archive.Appender) {
				for range rapid.IntRange(0, 12).Draw(r, "entries") {
					e, body := anyEntry(tb, r)
					if _, err := app.Add(e, strings.NewReader(body)); err != nil {
						r.Fatal(err)
					}
				}
			}
			if rapid.Bool().Draw(r, "foreign") {
				if err := app.Close(); err != nil {
					r.Fatal(err)
				}
				mustAppendForeign(tb, path, add)
				app, _, err = archive.OpenAppend(path, archive.Hint{}, archive.AppendOptions{Workers: 1})
			} else {
				add(app)
				_, err = app.Finish(archive.Marker{Begun: begun, Ended: begun})
			}
			if err != nil {
				r.Fatal(err)
			}
			catchUp(tb, ix, path, false)
		}
		if err := app.Close(); err != nil {
			r.Fatal(err)
		}
		if err := index.Check(context.Background(), path, filepath.Join(dir, "index.sqlite3")); err != nil {
			r.Fatal(err)
		}
	})
}
