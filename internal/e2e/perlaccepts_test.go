package e2e

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"backupfs/cyrus"
	"backupfs/internal/testenv"
)

// TestPerlAccepts checks of archives of several runs, with folders renamed and deleted, all that Cyrus::Backup insists on where it
// rebuilds its state from one, restores messages from it, or compacts it (docs/cyrus.md, "Cyrus::Backup").
func TestPerlAccepts(t *testing.T) {
	f, own := testenv.Fixtures(t)+"/cyrus313", testenv.Testdata(t, "spools")
	for name, c := range map[string]struct {
		users  []string
		states []spool
	}{
		"3.13": {[]string{"brong", "cassandane"}, []spool{{f + "/spool/run1.tar.gz", f + "/spool/imapd.conf", ""},
			{f + "/spool/run2.tar.gz", f + "/spool/imapd.conf", ""}, {f + "/spool/run3.tar.gz", f + "/spool/imapd.conf", ""}}},
		"3.6": {[]string{"alice", "jane.doe"}, []spool{{own + "/day1.tar.gz", "", ""}, {own + "/day2.tar.gz", "", ""}, {own + "/day3.tar.gz", "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			root, store := mustPublicDir(t), filepath.Join(t.TempDir(), "store")
			for i, s := range c.states {
				mustRun(t, 0, "backupd", append([]string{"backup", "--store", store, "--imapd-conf", mustUnpack(t, root, s), "--at", days[i] + "T12:00:00Z"}, c.users...)...)
			}
			paths, err := filepath.Glob(store + "/users/*/*/backupdata-*.tar.gz")
			if err != nil || len(paths) != len(c.users) {
				t.Fatal(paths, err)
			}
			for _, path := range paths {
				if regexp.MustCompile(`[^A-Za-z0-9/_.%@+-]`).MatchString(strings.TrimPrefix(path, store)) {
					t.Errorf("%s is handed to a shell without quotes", path)
				}
				if err := perlAccepts(path); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// perlName is all that CompressBackup looks up; on others it dies, and of a folder's name it sees what is before a slash.
var perlName = regexp.MustCompile(`^(files/[0-9a-f]{40}|folders/[^/]+/cyrus\.[a-z_]+|imap/[^/]+/|meta/[^/]+)$`)

func perlAccepts(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	inflated, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	all := &counted{r: inflated}
	bodies := map[cyrus.GUID]bool{}
	sum := int64(0)
	links, gone := 0, 0
	for r := tar.NewReader(all); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		sum += 512 + (h.Size+511)/512*512
		if len(h.Name) > 100 {
			sum += 512 + (int64(len(h.Name))+1+511)/512*512 // an L entry
		}
		digest := sha1.Sum(body)
		isLink := strings.HasPrefix(h.Name, "imap/")
		switch {
		case !perlName.MatchString(h.Name):
			return fmt.Errorf("%s: it is not a name that they know", h.Name)
		case isLink && (h.Typeflag != tar.TypeSymlink || h.Size > 0), !isLink && h.Typeflag != tar.TypeReg:
			return fmt.Errorf("%s: type %c", h.Name, h.Typeflag)
		case isLink && h.Linkname == "":
			gone++
		case isLink:
			links++
		case h.Linkname != fmt.Sprintf("%x", digest) && (h.Size > 0 || h.Linkname != ""):
			return fmt.Errorf("%s: its link name is %s, its SHA-1 %x", h.Name, h.Linkname, digest)
		}
		if strings.HasPrefix(h.Name, "files/") {
			bodies[digest] = true
		}
		if strings.HasSuffix(h.Name, "/cyrus.index") && h.Size > 0 {
			if err := perlParses(body, bodies); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return err
	}
	switch {
	case all.n != sum:
		return fmt.Errorf("%d bytes of tar, %d of entries: they stop at an empty block", all.n, sum)
	case links == 0 || gone == 0 && strings.Contains(path, "brong"):
		return errors.New("the runs have no folder that was renamed or deleted")
	}
	return nil
}

// perlParses is what their ParseIndex wants of a cyrus.index: a version that it knows, right CRCs, and each message's body before it.
func perlParses(raw []byte, bodies map[cyrus.GUID]bool) error {
	ix, err := cyrus.ParseIndex(raw)
	if err != nil {
		return err
	}
	if ix.Version < 10 || ix.Version > 20 || !ix.HeaderCRCOK {
		return fmt.Errorf("version %d, CRC right: %v", ix.Version, ix.HeaderCRCOK)
	}
	for _, r := range ix.Records {
		if !r.Unlinked() && (!bodies[r.GUID] || !r.CRCOK) {
			return fmt.Errorf("message %d: its body does not stand before the index, or its CRC is wrong", r.UID)
		}
	}
	return nil
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
