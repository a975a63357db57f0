package truth

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
)

// Stats says how much was compared.
type Stats struct {
	Folders, Messages int
	Bytes             int64
}

// Compare walks a dated folder of a mount and returns each difference from what the server said that the user held: folders
// and messages missing or too many, sizes, digests, mtimes (internal date), flags, UniqueIDs, UID validity, METADATA. Flags are read from
// the cyrus.index and cyrus.header in the tree, as whoever restores would.
// An error means that the comparison itself could not be made.
func Compare(dateDir string, t *Truth, user string) ([]string, Stats, error) {
	c := comparison{root: dateDir, user: user, want: map[string]bool{}}
	return c.compare(t)
}

// CompareFlags does so in a mount with -o flags, or in a copy of it: flags, UIDs and modification sequences must stand in the extended
// attributes of the messages, too.
func CompareFlags(dateDir string, t *Truth, user string) ([]string, Stats, error) {
	c := comparison{root: dateDir, user: user, want: map[string]bool{}, attributes: true}
	return c.compare(t)
}

func (c *comparison) compare(t *Truth) ([]string, Stats, error) {
	u := t.Users[c.user]
	if u == nil {
		return nil, Stats{}, fmt.Errorf("truth has no user %s", c.user)
	}
	if _, err := os.Stat(c.root); err != nil {
		return nil, Stats{}, err
	}
	for name, f := range u.Folders {
		rel := filepath.Join(f.path(name, t.Sep)...)
		for p := rel; p != "."; p = filepath.Dir(p) {
			c.want[p] = c.want[p] || p == rel
		}
		c.folder(rel, f)
	}
	err := c.excess()
	slices.Sort(c.bad)
	return c.bad, c.stats, err
}

func (f *Folder) path(name, sep string) []string {
	if f.DotName != "" {
		return strings.Split(f.DotName, ".")
	}
	return Levels(name, sep)
}

type comparison struct {
	root  string
	user  string
	want  map[string]bool // relative path: true for a folder, false if it only leads to one
	bad   []string
	stats Stats

	attributes bool // messages have extended attributes
}

func (c *comparison) differ(path, format string, args ...any) {
	c.bad = append(c.bad, path+": "+fmt.Sprintf(format, args...))
}

var (
	messageName = regexp.MustCompile(`^[1-9][0-9]*\.$`)
	metaNames   = []string{"cyrus.header", "cyrus.index", "cyrus.annotations", "cyrus.mailbox_annotations"}
)

func (c *comparison) folder(rel string, f *Folder) {
	dir := filepath.Join(c.root, rel)
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.differ(rel, "no folder: %v", err)
		return
	}
	c.stats.Folders++
	have := map[string]bool{}
	for _, e := range entries {
		switch {
		case messageName.MatchString(e.Name()):
			have[e.Name()] = true
		case !e.IsDir() && !slices.Contains(metaNames, e.Name()):
			c.differ(rel, "unexpected file %s", e.Name())
		}
	}
	c.metadata(rel, f)
	records := c.meta(rel, f)
	for _, m := range f.Messages {
		name := fmt.Sprintf("%d.", m.UID)
		if !have[name] {
			c.differ(rel, "lacks %s", name)
			continue
		}
		delete(have, name)
		c.message(filepath.Join(rel, name), m)
		if records == nil {
			continue
		}
		r, flags := records[m.UID], flagSet(m.Flags)
		if r.flags != flags {
			c.differ(rel, "UID %d: flags %q, IMAP said %q", m.UID, r.flags, flags)
		}
		if c.attributes {
			c.attribute(filepath.Join(rel, name), "flags", flags)
			c.attribute(filepath.Join(rel, name), "uid", strconv.FormatUint(uint64(m.UID), 10))
			c.attribute(filepath.Join(rel, name), "modseq", strconv.FormatUint(r.modseq, 10))
		}
		delete(records, m.UID)
	}
	for name := range have {
		c.differ(rel, "%s is too many", name)
	}
	for uid := range records {
		c.differ(rel, "cyrus.index shows UID %d, IMAP did not", uid)
	}
}

// attribute checks an extended attribute of a message, or the set of words in it.
func (c *comparison) attribute(rel, name, want string) {
	b := make([]byte, 64<<10)
	n, err := unix.Lgetxattr(filepath.Join(c.root, rel), "user.cyrus."+name, b)
	if got := flagSet(strings.Fields(string(b[:max(n, 0)]))); err != nil || got != want {
		c.differ(rel, "user.cyrus.%s is %q, %v, want %q", name, got, err, want)
	}
}

func (c *comparison) message(rel string, m Message) {
	f, err := os.Open(filepath.Join(c.root, rel))
	if err != nil {
		c.differ(rel, "%v", err)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		c.differ(rel, "%v", err)
		return
	}
	h := sha1.New()
	n, err := io.Copy(h, f)
	if err != nil {
		c.differ(rel, "%v", err)
		return
	}
	if n != m.Size || st.Size() != m.Size {
		c.differ(rel, "size %d, by stat %d, IMAP said %d", n, st.Size(), m.Size)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != m.SHA1 {
		c.differ(rel, "SHA-1 %s, IMAP's bytes have %s", got, m.SHA1)
	}
	if got := st.ModTime().Unix(); got != int64(m.InternalDate) {
		c.differ(rel, "mtime %d, internal date %d", got, m.InternalDate)
	}
	c.stats.Messages++
	c.stats.Bytes += n
}

// metadata checks what the user sees of a folder's METADATA.
func (c *comparison) metadata(rel string, f *Folder) {
	if f.Metadata == nil {
		return
	}
	got := map[string]string{}
	b, err := os.ReadFile(filepath.Join(c.root, rel, "cyrus.mailbox_annotations"))
	if err == nil {
		var list []cyrus.Annotation
		list, err = cyrus.ParseAnnotations(b)
		for _, a := range list {
			switch {
			case strings.Contains(a.Entry, "/vendor/cmu/"):
			case a.User == "":
				got["/shared"+a.Entry] = a.Value
			case a.User == c.user:
				got["/private"+a.Entry] = a.Value
			}
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.differ(rel, "%v", err)
	}
	if !maps.Equal(got, f.Metadata) {
		c.differ(rel, "METADATA %q, IMAP said %q", got, f.Metadata)
	}
}

// record is what an index says of a message.
type record struct {
	flags  string
	modseq uint64
}

// meta checks a folder's cyrus.header and cyrus.index, and returns what that says of the messages that it shows; nil if it
// cannot be read.
func (c *comparison) meta(rel string, f *Folder) map[uint32]record {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(c.root, rel, name))
		if err != nil {
			c.differ(rel, "%v", err)
		}
		return b
	}
	rawHeader, rawIndex := read("cyrus.header"), read("cyrus.index")
	header, err1 := cyrus.ParseHeader(rawHeader)
	index, err2 := cyrus.ParseIndex(rawIndex)
	if err := errors.Join(err1, err2); err != nil {
		c.differ(rel, "%v", err)
		return nil
	}
	if header.UniqueID != f.UniqueID {
		c.differ(rel, "UniqueID %s, IMAP said %s", header.UniqueID, f.UniqueID)
	}
	if int64(index.UIDValidity) != f.UIDValidity {
		c.differ(rel, "UID validity %d, IMAP said %d", index.UIDValidity, f.UIDValidity)
	}
	records := map[uint32]record{}
	for i := range index.Records {
		if r := &index.Records[i]; !r.Expunged() {
			records[r.UID] = record{flagSet(r.FlagNames(header.Flags)), r.Modseq}
		}
	}
	return records
}

// flagSet is a comparable form of flags.
func flagSet(flags []string) string {
	var set []string
	for _, f := range flags {
		if f != `\Recent` { // of the session, not of the message
			set = append(set, f)
		}
	}
	slices.Sort(set)
	return strings.Join(slices.Compact(set), " ")
}

// excess looks for folders that the server did not name. What begins with a dot on top (.meta, .deleted, .uniqueid) is
// not the user's tree as IMAP shows it.
func (c *comparison) excess() error {
	return filepath.WalkDir(c.root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.root, path)
		if err != nil || rel == "." {
			return err
		}
		_, known := c.want[rel]
		switch {
		case d.IsDir() && rel[0] == '.':
			return filepath.SkipDir
		case d.IsDir() && !known:
			c.differ(rel, "is too many")
			return filepath.SkipDir
		case !d.IsDir() && !c.want[filepath.Dir(rel)]:
			c.differ(rel, "is a file outside any folder")
		}
		return nil
	})
}
