package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/wire"
)

// stage is a folder with all that the calls of TestTerminal are made on: stores, spools, configurations and servers full of nasty names.
type stage struct {
	t    *testing.T
	dir  string
	user string // one with all in his name
	port string // of an IMAP server
}

func (s *stage) Check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, dir: t.TempDir(), user: strings.NewReplacer("\n", "", "/", "").Replace(strings.Join(indextest.Nasty, ""))}
	s.store("store")
	for _, name := range []string{"broken", "broken2", "lost", "perl"} {
		s.copyStore(name)
	}
	s.spool()
	s.files()
	s.config()
	s.servers()
	return s
}

func (s *stage) write(name string, b []byte) {
	s.Check(os.WriteFile(filepath.Join(s.dir, name), b, 0o600))
}

// users are those of the stores: one for each name, and one with all of them.
func (s *stage) users() []string { return append([]string{s.user}, indextest.Nasty...) }

// store is one that somebody wrote who could write anything: nasty are folders, UniqueIDs, keywords, METADATA, and what was skipped.
func (s *stage) store(name string) {
	st, err := store.Init(filepath.Join(s.dir, name))
	s.Check(err)
	for _, user := range s.users() {
		u, err := st.User(user)
		s.Check(err)
		s.Check(u.Make())
		run := indextest.Run{User: user, Begun: time.Date(2009, 9, 28, 12, 0, 0, 0, time.UTC), Skipped: indextest.Nasty, Sub: strings.Join(indextest.Nasty, "\t") + "\t"}
		keywords := []string{"$" + strings.ReplaceAll(s.user, "\r", "")}
		for i, n := range append([]string{"INBOX"}, indextest.Nasty...) {
			f := indextest.Folder{UniqueID: fmt.Sprintf("%d%s", i, n), Name: "INBOX." + n, Keywords: keywords, Annotations: n}
			if i == 0 {
				f.Name = n
			}
			f.Messages = []indextest.Message{{UID: 1, Body: "Subject: nasty " + n + "\r\n\r\n" + n, Keywords: 1}, {UID: 2, Body: n, Claims: "another"}, {UID: 3, Missing: true, Body: "gone" + n}}
			run.Folders = append(run.Folders, f)
		}
		again := run
		again.Begun = run.Begun.AddDate(0, 0, 1)
		again.Folders = append([]indextest.Folder{}, run.Folders...)
		again.Folders[0].Messages = []indextest.Message{{UID: 1, Body: run.Folders[0].Messages[0].Body}}
		again.Folders[1].Name += s.user
		again.Folders = again.Folders[:len(again.Folders)-1]
		indextest.Archive(s.t, u.Dir, run, again)
	}
}

// copyStore makes another store of the first: one whose archives are damaged, one whose are gone, one that is Cyrus's own.
func (s *stage) copyStore(name string) {
	st, err := store.Open(filepath.Join(s.dir, "store"))
	s.Check(err)
	to := filepath.Join(s.dir, name)
	if name != "perl" {
		s.Check(os.CopyFS(to, os.DirFS(st.Root)))
	}
	for _, user := range s.users() {
		u, err := st.User(user)
		s.Check(err)
		from, err := u.Archive()
		s.Check(err)
		b, err := os.ReadFile(from)
		s.Check(err)
		if name == "perl" {
			dir := filepath.Join(to, user)
			s.Check(os.MkdirAll(dir, 0o700))
			s.Check(os.WriteFile(filepath.Join(dir, filepath.Base(from)), b, 0o600))
			continue
		}
		rel, err := filepath.Rel(st.Root, from)
		s.Check(err)
		path := filepath.Join(to, rel)
		if name == "lost" {
			s.Check(os.Remove(path))
			continue
		}
		b[len(b)/5] ^= 0x55
		s.Check(os.WriteFile(path, b, 0o600))
	}
}

// spool is a server's, by names. In some folders the index is none.
func (s *stage) spool() {
	dir := filepath.Join(s.dir, "imap")
	makeSpool(s, dir)
	for _, user := range s.users() {
		deliver(s, filepath.Join(dir, "spool/user", user), "id"+strings.ReplaceAll(user, "\n", ""), "$"+strings.NewReplacer("\n", "", "\r", "").Replace(user), "one\r\n")
		broken := filepath.Join(dir, "spool/user", user, user)
		deliver(s, broken, "0"+strings.ReplaceAll(user, "\n", ""), "$Work", "one\r\n")
		s.Check(os.WriteFile(filepath.Join(broken, "cyrus.index"), []byte(user), 0o644))
	}
	s.Check(os.WriteFile(filepath.Join(dir, "spool/user", s.user, "cyrus.annotations"), []byte(s.user), 0o644))
}

// files are what dump shows.
func (s *stage) files() {
	f := indextest.Folder{UniqueID: "id" + s.user, Keywords: []string{"$" + strings.ReplaceAll(s.user, "\r", "")}, Messages: []indextest.Message{{UID: 1, Body: "one", Keywords: 1}}}
	s.Check(os.Mkdir(filepath.Join(s.dir, "nasty"), 0o700))
	s.write("nasty/cyrus.index", f.Index(s.t))
	s.write("nasty/cyrus.header", f.Header())
	s.write("nasty/cyrus.backupfs", []byte("backupfs-folder 1\nfingerprint "+s.user+"\n"))
	s.write(s.user, []byte(s.user))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i, n := range append(indextest.Nasty, s.user) {
		s.Check(w.WriteHeader(&tar.Header{Name: "imap/" + n + "/", Linkname: n, Typeflag: tar.TypeSymlink, Format: tar.FormatGNU}))
		s.Check(w.WriteHeader(&tar.Header{Name: n, Linkname: n, Typeflag: "0\x1b\x9b\x7f"[i%4], Size: 0, Format: tar.FormatGNU}))
	}
	s.Check(w.Close())
	s.Check(z.Close())
	s.write("nasty.tar.gz", b.Bytes())
	s.write("password", []byte("sesame\n"))
}

// config are configurations, and a list of users of whom the server has some.
func (s *stage) config() {
	var users strings.Builder
	for _, user := range s.users() {
		if !strings.ContainsAny(user, "\n\r") {
			fmt.Fprintf(&users, "%s,imap,%s\nnobody%s,imap,%s\n%s,%s,%s\n", user, user, user, user, "far"+user, user, user)
		}
	}
	s.write("users.csv", []byte(users.String()))
	c := fmt.Sprintf("stores = [%q]\nusers = { driver = \"file\", file = %q }\nservers.imap = { imapd_conf = %q }\nservers.\"x\\u001b[31m\\u009b\" = { address = %q }\nschedule.retries = 0\n",
		s.dir+"/store", s.dir+"/users.csv", s.dir+"/imap/imapd.conf", "unix:"+s.dir+"/agent.sock")
	s.write("backupd.toml", []byte(c))
	s.write("json.toml", []byte(c+"log.format = \"json\"\n"))
	s.write("wrong.toml", []byte(c+"\"x\\u001b[31m\\u009b\\u202e\" = 1\nschedule.window = \"\\u001b[31m\"\n"))
	s.write("raw.toml", []byte(c+"x\x1b[31m\x9b = 1\n"))
}

// servers are an agent and an IMAP server that answer whatever they are told with what a terminal would obey. They end with the test.
func (s *stage) servers() {
	no := strings.NewReplacer("\n", "", "\r", "").Replace(s.user)
	agent, err := net.Listen("unix", filepath.Join(s.dir, "agent.sock"))
	s.Check(err)
	imap, err := net.Listen("tcp", "localhost:0")
	s.Check(err)
	_, s.port, err = net.SplitHostPort(imap.Addr().String())
	s.Check(err)
	var g errgroup.Group
	answer := func(ln net.Listener, greeting string, reply func(line string) string) {
		g.Go(func() error {
			for {
				c, err := ln.Accept()
				if err != nil {
					return nil
				}
				g.Go(func() error {
					defer c.Close()
					_, _ = io.WriteString(c, greeting)
					for r := bufio.NewScanner(c); r.Scan(); {
						_, _ = io.WriteString(c, reply(r.Text()))
					}
					return nil
				})
			}
		})
	}
	answer(agent, "", func(string) string { return "NO " + no + "\n" })
	answer(imap, "* OK [CAPABILITY IMAP4rev1] "+no+"\r\n", func(line string) string {
		tag, _, _ := strings.Cut(line, " ")
		return tag + " NO " + no + "\r\n"
	})
	s.t.Cleanup(func() { _, _, _ = agent.Close(), imap.Close(), g.Wait() })
}

// disturb asks an agent for what it complains of, once it serves.
func (s *stage) disturb(socket string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err != nil && time.Now().Before(deadline) {
			continue
		}
		s.Check(err)
		user := wire.Encode(s.user)
		_, err = fmt.Fprintf(c, "PING backupfs\nSNAPSHOT imap.example.com %s user.%s.%s  - 0 -\nFROB imap.example.com %s\n", user, user, user, s.user)
		s.Check(err)
		s.Check(c.(*net.UnixConn).CloseWrite())
		_, _ = io.ReadAll(c)
		s.Check(c.Close())
		return
	}
}
