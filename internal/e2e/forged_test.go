package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the index, as somebody else writes it

	"backupfs/history"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
	"backupfs/match"
	"backupfs/restore"
	"backupfs/source"
)

// cells are what no column of an index expects: with texts, those of numbers have another type.
var cells = []any{int64(math.MinInt64), int64(math.MaxInt64), int64(1<<32 + 1), "../../../../../forged"}

// TestForgedIndex: whatever stands in the cells of an index that somebody else wrote, beside an archive that is as it was, is survived by all who read
// it, and leads nobody out of where he writes. What an index says that is consistent is believed (docs/security.md).
func TestForgedIndex(t *testing.T) {
	testenv.SetMemory(t)
	x := newForged(t)
	day := time.Date(2009, 9, 28, 12, 0, 0, 0, time.UTC)
	run := indextest.Run{Begun: day, Sub: "INBOX\t", Skipped: []string{"INBOX.Gone"}, Folders: []indextest.Folder{
		{UniqueID: "id1", Name: "INBOX", Keywords: []string{"$Work"}, Messages: []indextest.Message{{UID: 1, Body: "Subject: one\r\n\r\n", Keywords: 1}, {UID: 7, Body: "x", Missing: true}}},
		{UniqueID: "id2", Name: "INBOX.Work", Messages: []indextest.Message{{UID: 1, Body: "two"}, {UID: 2, Body: "three", Claims: "another"}}},
	}}
	again := run
	again.Begun, again.Folders = day.AddDate(0, 0, 1), run.Folders[1:]
	for n, c := range columns(t) {
		for i, cell := range cells {
			u := x.add(fmt.Sprintf("%03d-%d", n, i))
			indextest.Archive(t, u.Dir, run, again)
			db, err := sql.Open("sqlite3", "file:"+u.Index()+"?_ignore_check_constraints=1&_journal_mode=MEMORY&_synchronous=OFF")
			mustAll(t, err)
			// Where rows become the same, one is left; some columns take no such thing, and stay.
			_, _ = db.Exec(fmt.Sprintf("UPDATE OR REPLACE %s SET %s = ?", c.table, c.column), cell)
			mustAll(t, db.Close())
		}
	}
	x.read(t, false)
}

type column struct{ table, column string }

// columns are those of all tables.
func columns(t *testing.T) (all []column) {
	dir := t.TempDir()
	indextest.Archive(t, dir, indextest.Run{Begun: time.Unix(1e9, 0)})
	db, err := sql.Open("sqlite3", filepath.Join(dir, "index.sqlite3"))
	mustAll(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, c.cid")
	mustAll(t, err)
	defer rows.Close()
	for rows.Next() {
		var c column
		mustAll(t, rows.Scan(&c.table, &c.column))
		all = append(all, c)
	}
	mustAll(t, rows.Err())
	if len(all) < 50 {
		t.Fatalf("%d columns", len(all))
	}
	return all
}

// TestForgedArchive: whatever names and UniqueIDs an archive has that somebody else wrote, they lead nobody out of where he writes.
func TestForgedArchive(t *testing.T) {
	testenv.SetMemory(t)
	x := newForged(t)
	long := strings.Repeat("n", 4<<10)
	bad := []string{
		"..", ".", "", "../../../../../forged", "/forged", "INBOX/../../../../../forged", "INBOX.../forged", "a/b", "a\nb", "\xff\xfe", "\x1b[31m", "%2E%2E%2Fforged", "%", "%00",
		"&AC4ALg-", "&AC8-", "&AC4ALg-&AC8-&AC4ALg-&AC8-forged", "&AAA-", long, strings.Repeat("../", 1<<10) + "forged", strings.Repeat("a.", 2000) + "forged", strings.Repeat("a.", 300) + "forged", "DELETED.user.alice.../../forged.6B054A70",
		"DELETED.user.alice...6B054A70", "example.org!user.alice.../forged", "user.bob", "INBOX.cyrus.header", ".uniqueid", ".meta", "latest",
	}
	for i, name := range bad {
		x.forge(t, fmt.Sprintf("name%02d", i), name, "id1")
		x.forge(t, fmt.Sprintf("id%02d", i), "INBOX.Work", name)
		x.forge(t, fmt.Sprintf("inbox%02d", i), "INBOX."+name, name)
	}
	x.read(t, true)
}

// forged is a store by somebody who means harm, deep in a folder that has nothing else.
type forged struct {
	top   string // all is below it
	store *store.Store
	users []store.User
}

func newForged(t *testing.T) *forged {
	x := &forged{top: t.TempDir()}
	mustAll(t, os.MkdirAll(filepath.Join(x.top, "1/2/3/4/5"), 0o700))
	var err error
	x.store, err = store.Init(filepath.Join(x.top, "1/2/3/4/5/store"))
	mustAll(t, err)
	return x
}

func (x *forged) add(name string) store.User {
	u, err := x.store.User(name)
	if err != nil {
		panic(err)
	}
	if err := u.Make(); err != nil {
		panic(err)
	}
	x.users = append(x.users, u)
	return u
}

// forge makes an archive as tar and gzip make it: names that our own writer would refuse, too, and links, devices and sizes between.
func (x *forged) forge(t *testing.T, user, name, id string) {
	u := x.add(user)
	f := indextest.Folder{UniqueID: strings.NewReplacer("\n", "", "\x00", "").Replace(id), Messages: []indextest.Message{{UID: 1, Body: "one"}}}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	file := func(name, content string) {
		mustAll(t, w.WriteHeader(&tar.Header{Name: name, Linkname: fmt.Sprintf("%x", sha1.Sum([]byte(content))), Typeflag: tar.TypeReg, Size: int64(len(content)), Format: tar.FormatGNU}))
		_, err := io.WriteString(w, content)
		mustAll(t, err)
	}
	file(fmt.Sprintf("files/%x", sha1.Sum([]byte("one"))), "one")
	for _, odd := range []tar.Header{{Typeflag: tar.TypeSymlink, Name: "files/../../forged", Linkname: "/etc"}, {Typeflag: tar.TypeLink, Name: "folders/id1/cyrus.index", Linkname: "/etc/shadow"},
		{Typeflag: tar.TypeChar, Name: "meta/seen", Devmajor: 1, Devminor: 5}, {Typeflag: tar.TypeDir, Name: "../"}, {Typeflag: tar.TypeFifo, Name: "meta/sub"}} {
		odd.Format = tar.FormatGNU
		mustAll(t, w.WriteHeader(&odd))
	}
	file("folders/"+id+"/cyrus.index", string(f.Index(t)))
	file("folders/"+id+"/cyrus.header", string(f.Header()))
	file("meta/../../../../../forged", "forged")
	mustAll(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "imap/" + name + "/", Linkname: id, Format: tar.FormatGNU}))
	mustAll(t, w.Flush(), z.Close(), os.WriteFile(filepath.Join(u.Dir, "backupdata-1254095700.tar.gz"), b.Bytes(), 0o600))
}

// read has all that reads a store read this one; live: and bring it into a server's spool, which has the server's own tools called.
func (x *forged) read(t *testing.T, live bool) {
	out := filepath.Join(x.top, "1/2/3/4/5/out")
	mustAll(t, os.Mkdir(out, 0o700))
	var spool *source.Local
	if live {
		spool = mustUnpackSpool(t, filepath.Join(x.top, "1/2/3/4/5/spool"))
	}
	before := x.outside(t)
	for _, args := range [][]string{{}, {"-o", "utf8,flags,expunged"}} {
		dir, unmount := mustMount(t, x.store.Root, args...)
		walkAll(t, dir)
		unmount()
	}
	all, err := match.Parse("subject:one larger:0 flag:$Work", time.UTC)
	mustAll(t, err)
	for _, u := range x.users {
		if p, err := history.Open(t.Context(), u); err == nil {
			_, _ = p.Find(t.Context(), all)
			_, _ = p.Versions(t.Context(), "INBOX", 1)
			if n := len(p.Runs); n > 1 {
				_, _ = p.Diff(t.Context(), p.Runs[0].Run.Run, p.Runs[n-1].Run.Run)
			}
			mustAll(t, p.Close())
		}
		x.restoreAll(t, u, filepath.Join(out, u.Name), spool)
	}
	var names []string
	for _, u := range x.users {
		names = append(names, u.Name)
	}
	for _, verb := range [][]string{{"list"}, {"verify"}, {"compact", "--keep", "daily=1"}, append([]string{"repair", "--write"}, names...), {"reindex"}, {"compact", "--keep", "daily=1"}, {"verify"}} {
		o := run(t, "backupd", append([]string{verb[0], "--store", x.store.Root}, verb[1:]...)...)
		if o.code < 0 || o.code == 2 || o.code > 5 || strings.Contains(o.stderr, "goroutine ") {
			t.Errorf("%s: exit code %d\n%.3000s", verb[0], o.code, o.stderr[max(0, strings.Index(o.stderr, "panic: ")):])
		}
	}
	if after := x.outside(t); after != before {
		t.Errorf("there was\n%s\nand there is\n%s", before, after)
	}
}

// restoreAll brings the newest date to files of each kind, and into a server's spool if there is one.
func (x *forged) restoreAll(t *testing.T, u store.User, to string, spool *source.Local) {
	ctx := t.Context()
	mustAll(t, os.Mkdir(to, 0o700))
	sinks := []restore.Sink{restore.Dir{Root: to + "/dir"}, restore.Mbox{Root: to + "/mbox"}, restore.Maildir{Root: to + "/maildir"}}
	if spool != nil {
		live, err := restore.NewSpool(ctx, spool, restore.Live{User: "alice", Was: u.Name})
		mustAll(t, err)
		sinks = append(sinks, live)
	}
	for _, sink := range sinks {
		d, err := restore.Open(ctx, u, "")
		if err != nil {
			continue // it says what is wrong
		}
		_, _ = restore.Run(ctx, d, &restore.Selection{}, sink, restore.Options{With: restore.With{Subscriptions: true, Seen: true, Annotations: true}})
		mustAll(t, d.Close())
	}
}

// outside is what there is but for where something is to be written.
func (x *forged) outside(t *testing.T) string {
	var all strings.Builder
	mustAll(t, filepath.WalkDir(x.top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s\n", path)
		switch d.Name() {
		case "out", "spool":
			return fs.SkipDir
		case "users":
			return fs.SkipDir
		}
		return nil
	}))
	return all.String()
}

// walkAll looks at all of a mount, as find and cat do.
func walkAll(t *testing.T, dir string) {
	// Errors are what is expected; that it ends, and what serves it lives, is what counts.
	_ = exec.Command("sh", "-c", `find "$1" -type f -print0 | xargs -0 -n 100 head -qc 100000 >/dev/null 2>&1; find "$1" -type f -exec getfattr -d {} + >/dev/null 2>&1`, "-", dir).Run()
	if _, err := os.ReadDir(dir); err != nil {
		t.Error(err)
	}
}

// mustUnpackSpool is a server's spool, as its own tools do not see it.
func mustUnpackSpool(t *testing.T, dir string) *source.Local {
	mustAll(t, os.Mkdir(dir, 0o755))
	if out, err := exec.Command("tar", "--no-same-owner", "-xzf", filepath.Join(testenv.Testdata(t, "spools"), "day1.tar.gz"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf := filepath.Join(dir, "imapd.conf")
	b, err := os.ReadFile(conf)
	mustAll(t, err, os.WriteFile(conf, bytes.ReplaceAll(b, []byte("@ROOT@"), []byte(dir)), 0o600))
	src, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: conf, MboxlistCommand: source.NoMboxlist})
	mustAll(t, err)
	return src
}

func mustAll(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
