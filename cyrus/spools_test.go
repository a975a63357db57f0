package cyrus_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"backupfs/cyrus"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
)

// TestSpools reads all that is in the spools of the fixtures: every mailbox of mailboxes.db is found, every message is
// what its record says, and IMAP showed the same.
func TestSpools(t *testing.T) {
	dir := testenv.Fixtures(t)
	for name, s := range map[string]struct{ tar, conf, truth string }{
		"3.6":                 {tar: "cyrus36/default/fixture.tar.gz", truth: "cyrus36/default/truth.json"},
		"3.6, hashed":         {tar: "cyrus36/altns-hashed/fixture.tar.gz", truth: "cyrus36/altns-hashed/truth.json"},
		"3.6, two partitions": {tar: "cyrus36/multi-partition/fixture.tar.gz", truth: "cyrus36/multi-partition/truth.json"},
		"3.13, run 1":         {"cyrus313/spool/run1.tar.gz", "cyrus313/spool/imapd.conf", "cyrus313/truth/run1.json"},
		"3.13, run 2":         {"cyrus313/spool/run2.tar.gz", "cyrus313/spool/imapd.conf", "cyrus313/truth/run2.json"},
		"3.13, run 3":         {"cyrus313/spool/run3.tar.gz", "cyrus313/spool/imapd.conf", "cyrus313/truth/run3.json"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			mustUnpack(t, filepath.Join(dir, s.tar), root)
			conf := filepath.Join(root, "imapd.conf")
			from := conf
			if s.conf != "" {
				from = filepath.Join(dir, s.conf)
			}
			if err := os.WriteFile(conf, bytes.ReplaceAll(mustRead(t, from), []byte("@ROOT@"), []byte(root)), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := cyrus.LoadConfig(conf)
			if err != nil {
				t.Fatal(err)
			}
			list := mustListOf(t, filepath.Join(dir, s.truth))
			boxes := map[string]mailbox{}
			for _, m := range list {
				boxes[m.UniqueID] = mustOpen(t, c, m)
			}
			if n := mustCount(t, root, "cyrus.index"); n != len(boxes) {
				t.Errorf("%d mailboxes listed, %d in the spool", len(boxes), n)
			}
			tr, err := truth.Load(filepath.Join(dir, s.truth))
			if err != nil {
				t.Fatal(err)
			}
			for user, u := range tr.Users {
				checkUser(t, user, u, boxes)
			}
		})
	}
}

// mailbox is one that was opened.
type mailbox struct {
	cyrus.Mailbox
	header *cyrus.Header
	index  *cyrus.Index
}

// mustOpen reads a mailbox with its messages.
func mustOpen(t *testing.T, c *cyrus.Config, m cyrus.Mailbox) mailbox {
	t.Helper()
	p, err := c.Paths(m)
	if err != nil {
		t.Fatal(err)
	}
	header := mustRead(t, p.Header)
	h, err := cyrus.ParseHeader(header)
	if err != nil {
		t.Fatalf("%s: %v", p.Header, err)
	}
	if out, err := h.Marshal(); err != nil || !bytes.Equal(out, header) {
		t.Errorf("%s: written back, it is another file, %v", p.Header, err)
	}
	file := mustRead(t, p.Index)
	ix, err := cyrus.ParseIndex(file)
	if err != nil {
		t.Fatalf("%s: %v", p.Index, err)
	}
	if out, err := ix.Marshal(); err != nil || !bytes.Equal(out, file) {
		t.Errorf("%s: written back, it is another file, %v", p.Index, err)
	}
	if h.UniqueID != m.UniqueID || !ix.HeaderCRCOK || ix.HeaderFileCRC != crc32.ChecksumIEEE(header) {
		t.Errorf("%s: UniqueID %s, CRC %v", p.Index, h.UniqueID, ix.HeaderCRCOK)
	}
	exists := 0
	for _, r := range ix.Records {
		if !r.Expunged() {
			exists++
		}
		if !r.CRCOK || r.Unlinked() {
			t.Errorf("%s: UID %d: CRC %v, unlinked %v", p.Index, r.UID, r.CRCOK, r.Unlinked())
		}
		dir := p.Data
		if r.SystemFlags&cyrus.FlagArchived != 0 {
			dir = p.Archive
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.", r.UID))
		body := mustRead(t, path)
		if uint64(len(body)) != r.Size || cyrus.GUID(sha1.Sum(body)) != r.GUID {
			t.Errorf("%s: %d bytes, the record says %d", path, len(body), r.Size)
		}
		if fi, err := os.Stat(path); err != nil || ix.Version == 20 && fi.ModTime().Unix() != r.InternalDate {
			t.Errorf("%s: of %v, the record says %d, %v", path, fi.ModTime(), r.InternalDate, err)
		}
	}
	if int(ix.Exists) != exists {
		t.Errorf("%s: %d of %d exist", p.Index, ix.Exists, exists)
	}
	return mailbox{m, h, ix}
}

// checkUser compares a user's mailboxes with what IMAP showed.
func checkUser(t *testing.T, user string, u *truth.User, boxes map[string]mailbox) {
	t.Helper()
	if len(u.Folders) == 0 {
		t.Fatalf("%s had no folders", user)
	}
	var shown []string
	for name := range u.Folders {
		shown = append(shown, name)
	}
	for i, archived := range cyrus.Canonical(shown) {
		f := u.Folders[shown[i]]
		m, ok := boxes[f.UniqueID]
		if !ok || m.Name.User() != user || m.Name.Archived() != archived {
			t.Errorf("%s of %s is %s of %s", archived, user, m.Name.Archived(), m.Name.User())
			continue
		}
		live := slices.DeleteFunc(slices.Clone(m.index.Records), func(r cyrus.Record) bool { return r.Expunged() })
		if len(live) != len(f.Messages) || int64(m.index.UIDValidity) != f.UIDValidity {
			t.Errorf("%s of %s: %d messages, UIDVALIDITY %d", archived, user, len(live), m.index.UIDValidity)
			continue
		}
		for n, want := range f.Messages {
			r := live[n]
			flags := r.FlagNames(m.header.Flags)
			want.Flags = slices.DeleteFunc(slices.Clone(want.Flags), func(f string) bool { return f == `\Recent` })
			slices.Sort(flags)
			slices.Sort(want.Flags)
			if r.UID != want.UID || int64(r.Size) != want.Size || r.InternalDate != int64(want.InternalDate) || r.GUID.String() != want.SHA1 || !slices.Equal(flags, want.Flags) {
				t.Errorf("%s of %s: %+v with %q, IMAP says %+v", archived, user, r, flags, want)
			}
		}
	}
}

// mustListOf reads the output of ctl_mboxlist -d out of a truth file, which has it as lines or as an object.
func mustListOf(t *testing.T, path string) []cyrus.Mailbox {
	t.Helper()
	var v struct {
		List json.RawMessage `json:"ctl_mboxlist_d"`
	}
	if err := json.Unmarshal(mustRead(t, path), &v); err != nil {
		t.Fatal(err)
	}
	var lines []string
	if json.Unmarshal(v.List, &lines) == nil {
		v.List = []byte(strings.Join(lines, "\n"))
	}
	list, err := cyrus.ParseMboxlist(v.List)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d mailboxes, %v", path, len(list), err)
	}
	return list
}

func mustCount(t *testing.T, root, name string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Name() == name {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustUnpack(t *testing.T, path, root string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err == nil {
			err = unpackEntry(filepath.Join(root, h.Name), h, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackEntry(path string, h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeDir {
		return os.MkdirAll(path, 0o700)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeLink { // a message that was copied
		return os.Link(filepath.Join(strings.TrimSuffix(path, h.Name), h.Linkname), path)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, h.ModTime, h.ModTime)
}
