package remote

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/cyrus"
	"backupfs/source"
)

// TestChanges: the mailbox changes after it was looked at, before messages are asked for. The snapshot is that of afterwards, or what was
// delivered is all that it lists.
func TestChanges(t *testing.T) {
	for name, change := range map[string]func(ix *cyrus.Index, file func(uid uint32) string){
		// Others have their UIDs now.
		"Renumbered": func(ix *cyrus.Index, file func(uint32) string) {
			ix.UIDValidity++
			ix.Records = ix.Records[:5]
			for i := range ix.Records {
				text := fmt.Sprintf("Subject: another %d\r\n\r\n", i)
				r := &ix.Records[i]
				r.GUID, r.Size = sha1.Sum([]byte(text)), uint64(len(text))
				_ = os.WriteFile(file(r.UID), []byte(text), 0o600)
			}
			ix.Exists = 5
		},
		// One came, one went, and one has lost its file.
		"Traffic": func(ix *cyrus.Index, file func(uint32) string) {
			ix.LastUID++
			text := "Subject: new\r\n\r\n"
			_ = os.WriteFile(file(ix.LastUID), []byte(text), 0o600)
			ix.Records = append(ix.Records, cyrus.Record{UID: ix.LastUID, GUID: sha1.Sum([]byte(text)), Size: uint64(len(text)), InternalDate: 1254175711})
			ix.Records[1].SystemFlags |= cyrus.FlagExpunged | cyrus.FlagUnlinked
			_, _ = os.Remove(file(ix.Records[1].UID)), os.Remove(file(ix.Records[2].UID))
		},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/plain=%v", name, plain), func(t *testing.T) {
				spool := mustSpool(t)
				local, err := source.OpenLocal(t.Context(), spool)
				must(t, err)
				boxes, err := local.Mailboxes(t.Context(), "alice")
				must(t, err)
				paths, err := local.Config().Paths(boxes[0].Mailbox)
				must(t, err)
				l := &line{dial: mustAgent(t, spool)}
				l.left.Store(unlimited)
				src := mustOpen(t, l.Dial, Options{Plain: plain})
				told, err := src.Mailboxes(t.Context(), "alice")
				must(t, err)
				l.asked.Store(0)

				seen := uint32(0)
				got := map[uint32]cyrus.GUID{}
				snap, err := src.Fetch(t.Context(), told[0], func(ix *cyrus.Index, r *cyrus.Record) bool {
					if seen == 0 {
						b, err := os.ReadFile(paths.Index)
						must(t, err)
						now, err := cyrus.ParseIndex(b)
						must(t, err)
						change(now, func(uid uint32) string { return filepath.Join(paths.Data, fmt.Sprintf("%d.", uid)) })
						b, err = now.Marshal()
						must(t, err, os.WriteFile(paths.Index, b, 0o600))
					}
					if seen != ix.UIDValidity {
						seen = ix.UIDValidity
						clear(got)
					}
					return true
				}, func(m source.Message) error {
					b := make([]byte, m.Size)
					_, err := m.Body.ReadAt(b, 0)
					got[m.Record.UID] = sha1.Sum(b)
					return err
				})
				must(t, err)
				for _, r := range snap.Index.Records {
					digest, ok := got[r.UID]
					lost := name == "Traffic" && r.UID == snap.Index.Records[2].UID
					if why := snap.Missing[r.UID]; lost != errors.Is(why, os.ErrNotExist) || !lost && !r.Unlinked() && (!ok || digest != r.GUID) {
						t.Errorf("UID %d: delivered %v %s, the index has %s; missing: %v", r.UID, ok, digest, r.GUID, why)
					}
				}
				if name == "Renumbered" && len(snap.Index.Records) != 5 || name == "Traffic" && !plain && snap.Index.LastUID != boxIndex(t, paths).LastUID {
					t.Errorf("%d records, last UID %d", len(snap.Index.Records), snap.Index.LastUID)
				}
				if asked := l.asked.Load(); name == "Traffic" && !plain && asked != 2 {
					t.Errorf("asked %d times", asked)
				}
			})
		}
	}
}

func boxIndex(t *testing.T, p cyrus.Paths) *cyrus.Index {
	b, err := os.ReadFile(p.Index)
	must(t, err)
	ix, err := cyrus.ParseIndex(b)
	must(t, err)
	return ix
}

// TestStranger: who answers otherwise is known at once.
func TestStranger(t *testing.T) {
	for says, want := range map[string]string{
		"* OK imap.example.com Cyrus IMAP ready\r\n": `neither a backupd agent nor backupcyrusd: answered "* OK imap.example.com Cyrus IMAP ready\r"`,
		"NO too many connections\n":                  "the agent has too many connections",
		"OK\nDONE PING\nOK\n":                        "neither a backupd agent nor backupcyrusd: sent \"OK\" where that means nothing",
		"":                                           "neither a backupd agent nor backupcyrusd: EOF",
	} {
		c := scripted([]byte(says), false).idle[0]
		err := c.during(t.Context(), c.hello)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", says, err, want)
		}
	}
	s := scripted([]byte("OK\nBACKUPFS 2 1\nDONE PING\nNO iam lab.example.com\n"), false)
	if c := s.idle[0]; c.during(t.Context(), c.hello) != nil || !c.extended || c.name != "lab.example.com" {
		t.Errorf("an agent: %+v", c)
	}
}

// TestNamespace: each is known by what a server says of a folder that is not there.
func TestNamespace(t *testing.T) {
	for _, alt := range []bool{false, true} {
		for _, slashes := range []bool{false, true} {
			conf := cyrus.Namespace(alt, slashes)
			c := scripted(nil, false).idle[0]
			c.nc = echo{conf: conf, answers: make(chan string, 1)}
			c.in.Reset(c)
			var n namespace
			var got *cyrus.Config
			err := c.during(t.Context(), func() (err error) { got, err = n.of(c, "jane.doe@example.org"); return err })
			if err != nil || got.Bool("altnamespace") != alt || got.Bool("unixhierarchysep") != slashes {
				t.Errorf("alt %v, slashes %v: %v %v", alt, slashes, got, err)
			}
		}
	}
}

// echo answers FMETA as a server of a namespace.
type echo struct {
	script
	conf    *cyrus.Config
	answers chan string
}

func (e echo) Write(p []byte) (int, error) {
	w := strings.Fields(string(p))
	e.answers <- "NO no such folder " + string(e.conf.Internal(w[3], "jane.doe@example.org")) + "\n"
	return len(p), nil
}

func (e echo) Read(p []byte) (int, error) { return copy(p, <-e.answers), nil }
