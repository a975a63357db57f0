package truth_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/internal/testenv"
	"backupfs/internal/truth"
	"backupfs/source"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// mustTree makes a dated folder of jane.doe out of a fixture's spool.
func mustTree(t *testing.T) (string, *truth.Truth) {
	t.Helper()
	dir := t.TempDir()
	fixture := filepath.Join(testenv.Fixtures(t), "cyrus36/altns-hashed")
	out, err := exec.Command("tar", "-xzf", fixture+"/fixture.tar.gz", "-C", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf, err := os.ReadFile(dir + "/imapd.conf")
	must(t, err, os.WriteFile(dir+"/imapd.conf", bytes.ReplaceAll(conf, []byte("@ROOT@"), []byte(dir)), 0o600))
	// The server's user makes the locks.
	locks := dir + "/run/lock"
	must(t, err, os.MkdirAll(locks, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
	if os.Geteuid() == 0 {
		must(t, os.Chown(locks, 1, 1))
	}
	src, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: dir + "/imapd.conf", MboxlistCommand: source.NoMboxlist})
	must(t, err)
	boxes, err := src.Mailboxes(t.Context(), "jane.doe")
	must(t, err)
	tree := dir + "/tree"
	for _, m := range boxes {
		folder := filepath.Join(append([]string{tree}, cyrus.TreePath(m.Archived)...)...)
		must(t, os.MkdirAll(folder, 0o700))
		snap, err := src.Fetch(t.Context(), m, func(_ *cyrus.Index, r *cyrus.Record) bool { return !r.Expunged() }, func(m source.Message) error {
			b, err := io.ReadAll(io.NewSectionReader(m.Body, 0, m.Size))
			if err != nil {
				return err
			}
			path := filepath.Join(folder, name(m.Record.UID))
			date := time.Unix(m.Record.InternalDate, 0)
			must(t, os.WriteFile(path, b, 0o600), os.Chtimes(path, date, date))
			return nil
		})
		must(t, err)
		for _, f := range snap.Files {
			must(t, os.WriteFile(filepath.Join(folder, f.Name), f.Data, 0o600))
		}
	}
	must(t, os.Mkdir(tree+"/.meta", 0o700), os.WriteFile(tree+"/.meta/sub", nil, 0o600))
	tr, err := truth.Load(fixture + "/truth.json")
	must(t, err)
	return tree, tr
}

func name(uid uint32) string { return strconv.Itoa(int(uid)) + "." }

// TestCompare: a right tree has no difference, and each error in it is found.
func TestCompare(t *testing.T) {
	tree, tr := mustTree(t)
	compare := func() []string {
		t.Helper()
		bad, stats, err := truth.Compare(tree, tr, "jane.doe")
		if err != nil || stats.Folders == 0 || stats.Messages == 0 || stats.Bytes == 0 {
			t.Fatalf("%v, compared %+v", err, stats)
		}
		return bad
	}
	if bad := compare(); len(bad) > 0 {
		t.Fatalf("%q", bad)
	}
	inbox := tree + "/INBOX"
	one := inbox + "/1."
	whole, err := os.ReadFile(one)
	must(t, err)
	st, err := os.Stat(one)
	must(t, err)
	put := func(b []byte) error {
		return errors.Join(os.WriteFile(one, b, 0o600), os.Chtimes(one, st.ModTime(), st.ModTime()))
	}
	other := bytes.Clone(whole)
	other[len(other)/2] ^= 1
	header, err := os.ReadFile(inbox + "/cyrus.header")
	must(t, err)
	index, err := os.ReadFile(inbox + "/cyrus.index")
	must(t, err)
	annotations := inbox + "/cyrus.mailbox_annotations"
	must(t, os.WriteFile(annotations, cyrus.MarshalAnnotations([]cyrus.Annotation{{Entry: "/comment", User: "jane.doe", Value: "x"}, {Entry: "/comment", User: "other", Value: "y"}}), 0o600))
	tr.Users["jane.doe"].Folders["INBOX"].Metadata = map[string]string{"/private/comment": "x"}
	flagged := bytes.Clone(index)
	flagged[160+35] ^= cyrus.FlagFlagged // version 17: the first record stands at 160, its system flags at 32
	for said, c := range map[string]struct{ spoil, mend func() error }{
		"lacks 1.":           {func() error { return os.Remove(one) }, func() error { return put(whole) }},
		"size":               {func() error { return put(whole[1:]) }, func() error { return put(whole) }},
		"SHA-1":              {func() error { return put(other) }, func() error { return put(whole) }},
		"mtime":              {func() error { return os.Chtimes(one, time.Unix(1, 0), time.Unix(1, 0)) }, func() error { return put(whole) }},
		"77. is too many":    {func() error { return os.WriteFile(inbox+"/77.", whole, 0o600) }, func() error { return os.Remove(inbox + "/77.") }},
		"unexpected file":    {func() error { return os.WriteFile(inbox+"/x", nil, 0o600) }, func() error { return os.Remove(inbox + "/x") }},
		"file outside":       {func() error { return os.WriteFile(tree+"/x", nil, 0o600) }, func() error { return os.Remove(tree + "/x") }},
		"Empty: is too many": {func() error { return os.Mkdir(inbox+"/Empty", 0o700) }, func() error { return os.Remove(inbox + "/Empty") }},
		"no folder":          {func() error { return os.Rename(inbox+"/Sent", inbox+"/.Sent") }, func() error { return os.Rename(inbox+"/.Sent", inbox+"/Sent") }},
		"flags":              {func() error { return os.WriteFile(inbox+"/cyrus.index", flagged, 0o600) }, func() error { return os.WriteFile(inbox+"/cyrus.index", index, 0o600) }},
		"UniqueID":           {func() error { return os.WriteFile(inbox+"/cyrus.header", mangle(header, tr), 0o600) }, func() error { return os.WriteFile(inbox+"/cyrus.header", header, 0o600) }},
		"METADATA":           {func() error { return os.Rename(annotations, tree+"/.x") }, func() error { return os.Rename(tree+"/.x", annotations) }},
		"cyrus.header":       {func() error { return os.Remove(inbox + "/cyrus.header") }, func() error { return os.WriteFile(inbox+"/cyrus.header", header, 0o600) }},
	} {
		must(t, c.spoil())
		if bad := compare(); !strings.Contains(strings.Join(bad, "\n"), said) {
			t.Errorf("%s: %q", said, bad)
		}
		must(t, c.mend())
		if bad := compare(); len(bad) > 0 {
			t.Fatalf("mended, after %s: %q", said, bad)
		}
	}
	if _, _, err := truth.Compare(tree, tr, "nobody"); err == nil {
		t.Error("compared nobody")
	}
	if _, _, err := truth.Compare(tree+"/none", tr, "jane.doe"); err == nil {
		t.Error("compared what does not exist")
	}
}

// mangle changes the UniqueID.
func mangle(header []byte, tr *truth.Truth) []byte {
	id := tr.Users["jane.doe"].Folders["INBOX"].UniqueID
	return bytes.ReplaceAll(header, []byte(id), []byte(strings.Repeat("x", len(id))))
}

// TestCompareFlags: attributes that are right are no difference, and each that is wrong or missing is found.
func TestCompareFlags(t *testing.T) {
	tree, tr := mustTree(t)
	raw, err := os.ReadFile(tree + "/INBOX/cyrus.header")
	must(t, err)
	header, err := cyrus.ParseHeader(raw)
	must(t, err)
	if raw, err = os.ReadFile(tree + "/INBOX/cyrus.index"); err != nil {
		t.Fatal(err)
	}
	index, err := cyrus.ParseIndex(raw)
	must(t, err)
	set := func(path, attribute, value string) {
		t.Helper()
		must(t, unix.Setxattr(path, "user.cyrus."+attribute, []byte(value), 0))
	}
	for i := range index.Records {
		r := &index.Records[i]
		path := tree + "/INBOX/" + name(r.UID)
		if r.Expunged() {
			continue
		}
		set(path, "flags", strings.Join(r.FlagNames(header.Flags), " "))
		set(path, "uid", strconv.Itoa(int(r.UID)))
		set(path, "modseq", strconv.Itoa(int(r.Modseq)))
	}
	inbox := func() (lines []string) {
		t.Helper()
		bad, _, err := truth.CompareFlags(tree, tr, "jane.doe")
		must(t, err)
		for _, b := range bad {
			if strings.HasPrefix(b, "INBOX/1.: ") {
				lines = append(lines, b)
			}
		}
		return lines
	}
	if bad := inbox(); len(bad) > 0 {
		t.Fatalf("%q", bad)
	}
	one := tree + "/INBOX/1."
	set(one, "flags", "nonsense")
	set(one, "uid", "2")
	must(t, unix.Removexattr(one, "user.cyrus.modseq"))
	if bad := inbox(); len(bad) != 3 {
		t.Errorf("three attributes are wrong, said is %q", bad)
	}
}
