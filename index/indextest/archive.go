package indextest

import (
	"context"
	"crypto/sha1"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
)

// Run is all that a user has at the time of one run.
type Run struct {
	Begun   time.Time
	User    string // empty means "brong"
	Folders []Folder
	Seen    string // content of meta/seen, empty: there is none
	Sub     string
	Skipped []string
}

// Folder is one mailbox.
type Folder struct {
	UniqueID    string
	Name        string // archived name, as INBOX.Drafts
	Version     uint32 // of its cyrus.index; 0 means 17
	Keywords    []string
	Annotations string // content of cyrus.annotations, empty: there is none
	Messages    []Message
}

// Message is one message of a folder.
type Message struct {
	UID      uint32
	Body     string
	Date     int64 // internal date, Unix seconds
	Expunged bool
	Unlinked bool
	Flags    uint32 // further system flags
	Keywords uint32 // bits of Folder.Keywords
	Missing  bool   // the server has no file for it
	Claims   string // if not empty, the index has the digest of this instead of the Body's
}

// GUID is the digest that a message's folder has for it, zero where it has none.
func (m Message) GUID(f Folder) cyrus.GUID {
	switch {
	case f.version() == 9:
		return cyrus.GUID{}
	case m.Claims != "":
		return sha1.Sum([]byte(m.Claims))
	}
	return sha1.Sum([]byte(m.Body))
}

func (f Folder) version() uint32 {
	if f.Version == 0 {
		return 17
	}
	return f.Version
}

// Index is the folder's cyrus.index.
func (f Folder) Index(t testing.TB) []byte {
	t.Helper()
	ix := &cyrus.Index{Version: f.version(), UIDValidity: 1254175711}
	for _, m := range f.Messages {
		r := cyrus.Record{UID: m.UID, InternalDate: m.Date, Size: uint64(len(m.Body)), GUID: m.GUID(f), SystemFlags: m.Flags, Modseq: uint64(m.UID)}
		r.UserFlags[0] = m.Keywords
		if m.Expunged {
			r.SystemFlags |= cyrus.FlagExpunged
		} else if f.version() > 10 {
			ix.Exists++
		}
		if m.Unlinked {
			r.SystemFlags |= cyrus.FlagUnlinked
		}
		ix.LastUID = max(ix.LastUID, m.UID)
		ix.Records = append(ix.Records, r)
	}
	b, err := ix.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Header is the folder's cyrus.header, in its old form.
func (f Folder) Header() []byte {
	return []byte("\xa1\x02\x8b\x0dCyrus mailbox header\n\"The best thing about this system was that it had lots of goals.\"\n\t--Jim Morris on Andrew\n" +
		"\t" + f.UniqueID + "\n" + strings.Join(f.Keywords, " ") + "\nbrong\tlrswipkxtecda\t\n")
}

// Writer writes an archive run by run, as a backup would: what is there already is not stored again.
type Writer struct {
	t      testing.TB
	dir    string
	app    *archive.Appender
	bodies map[cyrus.GUID]bool
	files  map[string]string // entry to content
	names  map[string]string // archived name to uniqueid

	exceptions map[string]string // uniqueid to lines of the last index
}

// NewWriter begins an archive in dir with the first Run; its clean-up closes it.
func NewWriter(t testing.TB, dir string) *Writer {
	w := &Writer{t: t, dir: dir, bodies: map[cyrus.GUID]bool{}, files: map[string]string{}, names: map[string]string{}, exceptions: map[string]string{}}
	t.Cleanup(w.Close)
	return w
}

// Close closes the archive; a Run can follow.
func (w *Writer) Close() {
	w.t.Helper()
	if w.app == nil {
		return
	}
	if err := w.app.Close(); err != nil {
		w.t.Error(err)
	}
	w.app = nil
}

// Path of the archive, once there was a Run.
func (w *Writer) Path() string {
	w.t.Helper()
	all, err := filepath.Glob(filepath.Join(w.dir, "backupdata-*.tar.gz"))
	if err != nil || len(all) != 1 {
		w.t.Fatalf("%s: %d archives, %v", w.dir, len(all), err)
	}
	return all[0]
}

// Archive writes the runs into an archive in dir and makes index.sqlite3 beside it. It returns the archive's path.
func Archive(t testing.TB, dir string, runs ...Run) string {
	t.Helper()
	w := NewWriter(t, dir)
	for _, r := range runs {
		w.Run(r)
	}
	w.Close()
	if err := index.Rebuild(context.Background(), w.Path(), filepath.Join(dir, "index.sqlite3"), nil); err != nil {
		t.Fatal(err)
	}
	return w.Path()
}

// Run appends a run.
func (w *Writer) Run(r Run) archive.Run {
	w.t.Helper()
	w.open(r.Begun)
	w.file("meta/seen", r.Seen, r.Begun.Unix())
	w.file("meta/sub", r.Sub, r.Begun.Unix())

	m := archive.Marker{Begun: r.Begun, Ended: r.Begun.Add(time.Second), User: r.User, Source: "imap.example.com", Skipped: r.Skipped}
	if m.User == "" {
		m.User = "brong"
	}
	names := map[string]string{}
	for _, f := range r.Folders {
		names[f.Name] = f.UniqueID
	}
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if names[name] == "" {
			w.link(name, "", r.Begun)
		}
	}
	for _, f := range r.Folders {
		w.folder(f, &m)
		if w.names[f.Name] != f.UniqueID {
			w.link(f.Name, f.UniqueID, r.Begun)
		}
	}
	w.names = names
	run, err := w.app.Finish(m)
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *Writer) open(begun time.Time) {
	w.t.Helper()
	if w.app != nil {
		return
	}
	var err error
	if all, _ := filepath.Glob(filepath.Join(w.dir, "backupdata-*")); len(all) == 0 {
		w.app, err = archive.Create(w.dir, begun, archive.AppendOptions{Workers: 1})
	} else {
		w.app, _, err = archive.OpenAppend(w.Path(), archive.Hint{}, archive.AppendOptions{Workers: 1})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *Writer) folder(f Folder, m *archive.Marker) {
	w.t.Helper()
	m.Folders++
	var lines strings.Builder
	for _, msg := range f.Messages {
		if msg.Unlinked {
			continue
		}
		if !msg.Expunged {
			m.Messages++
			m.Bytes += int64(len(msg.Body))
		}
		guid, claimed := cyrus.GUID(sha1.Sum([]byte(msg.Body))), msg.GUID(f)
		switch {
		case w.bodies[claimed]: // what the archive has is not looked for
		case msg.Missing:
			m.Missing++
			fmt.Fprintf(&lines, "missing %d\n", msg.UID)
		default:
			if !w.bodies[guid] {
				w.add("files/"+guid.String(), msg.Body, msg.Date)
				w.bodies[guid] = true
				m.NewMessages++
				m.NewBytes += int64(len(msg.Body))
			}
			if guid != claimed {
				fmt.Fprintf(&lines, "message %d %s\n", msg.UID, guid)
			}
			if msg.Claims != "" {
				m.Mismatched++
			}
		}
	}
	entry := "folders/" + f.UniqueID + "/cyrus."
	header, index := string(f.Header()), string(f.Index(w.t))
	exceptions := fmt.Sprintf("backupfs-folder 1\nfingerprint %x\n%s", sha1.Sum([]byte(index+header+f.Annotations)), lines.String())
	// Exceptions count with an index only: where they change, it is stored again.
	if w.files[entry+"index"] != index || w.exceptions[f.UniqueID] != lines.String() {
		delete(w.files, entry+"index")
		delete(w.files, entry+"backupfs")
		w.exceptions[f.UniqueID] = lines.String()
	}
	w.file(entry+"index", index, m.Begun.Unix())
	w.file(entry+"header", header, m.Begun.Unix())
	w.file(entry+"annotations", f.Annotations, m.Begun.Unix())
	w.file(entry+"backupfs", exceptions, m.Begun.Unix())
}

// file adds a meta file if it changed, as gone if it is empty.
func (w *Writer) file(name, content string, mtime int64) {
	w.t.Helper()
	if w.files[name] == content {
		return
	}
	w.files[name] = content
	if content == "" {
		w.entry(archive.Entry{Name: name, Type: archive.TypeFile}, "")
		return
	}
	w.add(name, content, mtime)
}

func (w *Writer) add(name, content string, mtime int64) {
	w.t.Helper()
	w.entry(archive.Entry{Name: name, Linkname: fmt.Sprintf("%x", sha1.Sum([]byte(content))), Type: archive.TypeFile, Size: int64(len(content)), Mtime: mtime}, content)
}

func (w *Writer) link(name, uniqueid string, begun time.Time) {
	w.t.Helper()
	w.entry(archive.Entry{Name: "imap/" + name + "/", Linkname: uniqueid, Type: archive.TypeLink, Mtime: begun.Unix()}, "")
}

func (w *Writer) entry(e archive.Entry, content string) {
	w.t.Helper()
	if _, err := w.app.Add(e, strings.NewReader(content)); err != nil {
		w.t.Fatal(err)
	}
}
