package restore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
	"golang.org/x/sync/errgroup"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/mtls"
	"backupfs/internal/store"
	"backupfs/restore"
)

// imapServer is a server that is not Cyrus: it has a user brong with an INBOX.
type imapServer struct {
	caps     imap.CapSet
	security restore.Security
	tls      *tls.Config
	whole    bool // it takes whole messages only, as servers do that are in use
}

// start returns where it listens, and what it hears.
func (s imapServer) start(t *testing.T) (address string, heard *hearing) {
	t.Helper()
	user := imapmemserver.NewUser("brong", "open-sesame")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	users := imapmemserver.New()
	users.AddUser(user)
	heard = new(hearing)
	server := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			session := users.NewSession()
			if s.whole {
				session = wholeSession{session}
			}
			return session, nil, nil
		},
		Caps: s.caps, TLSConfig: s.tls, InsecureAuth: s.security == restore.Plain, Logger: log.New(io.Discard, "", 0), DebugWriter: heard,
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if s.security == restore.IMAPS {
		listener = tls.NewListener(listener, s.tls)
	}
	var group errgroup.Group
	group.Go(func() error { return server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		_ = group.Wait()
	})
	return address, heard
}

// wholeSession refuses a message whose connection ended before it did.
type wholeSession struct{ imapserver.Session }

func (s wholeSession) Append(mailbox string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	size := r.Size()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		return nil, fmt.Errorf("%d of %d bytes came: %w", len(b), size, io.ErrUnexpectedEOF)
	}
	return s.Session.Append(mailbox, literal{bytes.NewReader(b)}, o)
}

type literal struct{ *bytes.Reader }

// hearing is what a server was told, by all connections.
type hearing struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *hearing) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *hearing) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// mustTLS makes a certificate for 127.0.0.1, and returns the server's side and the client's.
func mustTLS(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	ca, err := mtls.NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	side, err := ca.Agent("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(side, "cert.pem"), filepath.Join(side, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: roots}
}

// TestIMAP: a server with few abilities, in each of the ways to talk to it, gets each message once.
func TestIMAP(t *testing.T) {
	server, client := mustTLS(t)
	all := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapLiteralMinus: {}, imap.CapSASLIR: {}}
	for name, s := range map[string]imapServer{
		"plain":    {security: restore.Plain},
		"STARTTLS": {security: restore.StartTLS, tls: server, caps: all},
		"IMAPS":    {security: restore.IMAPS, tls: server},
	} {
		t.Run(name, func(t *testing.T) {
			address, heard := s.start(t)
			d := mustOpenOf(t, indextest.Folder{UniqueID: "inbox-id", Name: "INBOX", Keywords: []string{"work"}, Messages: []indextest.Message{
				{UID: 1, Body: "Subject: one\r\n\r\nbody\r\n", Date: 1254000000, Flags: cyrus.FlagSeen | cyrus.FlagFlagged, Keywords: 1},
				{UID: 2, Body: "Subject: two\r\n\r\nbody\r\n", Date: 1254000001},
				{UID: 5, Body: "Subject: two\r\n\r\nbody\r\n", Date: 1254000001},
			}}, indextest.Folder{UniqueID: "sub-id", Name: "INBOX.Work.v1^2", Messages: []indextest.Message{{UID: 9, Body: "Subject: big\r\n\r\n" + strings.Repeat("x", 5000), Date: 1254000000}}})
			to := restore.Server{Address: address, Security: s.security, TLS: client, Login: "brong", User: "brong", Password: "open-sesame"}
			mail := mustIMAP(t, to, "RESTORED.2009-09-27")
			result, err := restore.Run(t.Context(), d, &restore.Selection{}, mail, restore.Options{})
			if err != nil || len(result.Folders) != 2 || result.Folders[0].Messages != 3 || result.Folders[1].Place != "RESTORED/2009-09-27/Work/v1.2" || result.Folders[1].Err != nil {
				t.Fatalf("%+v, %v", result, err)
			}
			if uids := result.Folders[1].UIDs; s.caps != nil && uids[9] != 1 {
				t.Errorf("UIDs: %v", uids)
			}
			again := mustRun(t, d, restore.Selection{}, mustIMAP(t, to, "RESTORED.2009-09-27"), restore.Options{})
			if want := []string{"INBOX 0 3 [] <nil>", "INBOX.Work.v1^2 0 1 [] <nil>"}; !slices.Equal(again, want) {
				t.Errorf("the second time: %q", again)
			}
			o := restore.Options{Held: mustIMAP(t, to, "").Held}
			if got := mustRun(t, d, restore.Selection{Folders: []string{"INBOX/Work"}}, restore.Dir{Root: t.TempDir()}, o); !slices.Equal(got, []string{"INBOX.Work.v1^2 0 1 [] <nil>"}) {
				t.Errorf("missing are %q", got)
			}
			for _, said := range []string{`(\Flagged \Seen work) "26-Sep-2009 21:20:00 +0000"`, "BODY.PEEK[]"} {
				if !strings.Contains(heard.String(), said) {
					t.Errorf("the server did not hear %s", said)
				}
			}
		})
	}
}

// mustOpenOf opens the only date of a user who had these folders.
func mustOpenOf(t *testing.T, folders ...indextest.Folder) *restore.Date {
	t.Helper()
	u := store.User{Name: "brong", Dir: t.TempDir()}
	indextest.Archive(t, u.Dir, indextest.Run{Begun: day1, Folders: folders})
	d, err := restore.Open(t.Context(), u, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func mustIMAP(t *testing.T, s restore.Server, below string) *restore.IMAP {
	t.Helper()
	mail, err := restore.OpenIMAP(t.Context(), s, below)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mail.Close)
	return mail
}

// TestIMAPRefused: who cannot show a good certificate learns no password, and no error tells it.
func TestIMAPRefused(t *testing.T) {
	server, client := mustTLS(t)
	_, stranger := mustTLS(t)
	for name, c := range map[string]struct {
		server imapServer
		client restore.Server
		is     error
	}{
		"another authority":            {imapServer{security: restore.IMAPS, tls: server}, restore.Server{TLS: stranger}, nil},
		"another authority, STARTTLS":  {imapServer{tls: server}, restore.Server{TLS: stranger, Security: restore.StartTLS}, nil},
		"no STARTTLS":                  {imapServer{security: restore.Plain}, restore.Server{TLS: client, Security: restore.StartTLS}, nil},
		"no password without TLS":      {imapServer{security: restore.StartTLS, tls: server}, restore.Server{Security: restore.Plain}, restore.ErrNoSecret},
		"another's login":              {imapServer{security: restore.Plain}, restore.Server{Security: restore.Plain, Login: "mallory", User: "brong"}, nil},
		"who may not act for the user": {imapServer{security: restore.Plain}, restore.Server{Security: restore.Plain, Login: "brong", User: "mallory"}, nil},
	} {
		address, heard := c.server.start(t)
		c.client.Address, c.client.Password = address, "not-sesame"
		if c.client.Login == "" {
			c.client.Login, c.client.User = "brong", "brong"
		}
		_, err := restore.OpenIMAP(t.Context(), c.client, "")
		if err == nil || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
		if c.client.Login == c.client.User && strings.Contains(strings.ToUpper(heard.String()), "AUTHENTICATE") {
			t.Errorf("%s: the server heard\n%s", name, heard)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := restore.OpenIMAP(ctx, restore.Server{Address: "127.0.0.1:1", Security: restore.Plain}, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestIMAPDamaged: of a message that proves damaged when a part of it was sent, nothing is in the folder, and all others are.
func TestIMAPDamaged(t *testing.T) {
	u := store.User{Name: "brong", Dir: t.TempDir()}
	folder := indextest.Folder{UniqueID: "inbox-id", Name: "INBOX"}
	random := rand.New(rand.NewPCG(1, 2))
	for uid, size := range []int{100, 1 << 20, 200, 1 << 20, 1 << 20, 300} {
		body := make([]byte, size)
		for i := range body {
			body[i] = byte('a' + random.IntN(26))
		}
		folder.Messages = append(folder.Messages, indextest.Message{UID: uint32(uid + 1), Body: string(body), Date: 1254000000})
	}
	path := indextest.Archive(t, u.Dir, indextest.Run{Begun: day1, Folders: []indextest.Folder{folder}})
	// The last byte of one is wrong, under a right CRC.
	spoil(t, u, path, 4, func(b []byte, m index.Message, find func(int64) archive.Member) []byte {
		last := find(m.Tar + m.Size - 1)
		return indextest.Reworked(t, b, last, func(tar []byte) { tar[m.Tar+m.Size-1-last.Tar] ^= 1 })
	})
	if err := errors.Join(os.Remove(u.Index()), index.Rebuild(t.Context(), path, u.Index(), nil)); err != nil {
		t.Fatal(err)
	}
	// Another cannot be read on.
	spoil(t, u, path, 2, func(b []byte, m index.Message, find func(int64) archive.Member) []byte {
		middle := find(m.Tar + m.Size/2)
		clear(b[middle.File+archive.MemberHeaderSize : middle.End().File])
		return b
	})
	d, err := restore.Open(t.Context(), u, "")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	address, heard := imapServer{security: restore.Plain, whole: true}.start(t)
	to := restore.Server{Address: address, Security: restore.Plain, Login: "brong", User: "brong", Password: "open-sesame"}
	result, err := restore.Run(t.Context(), d, &restore.Selection{}, mustIMAP(t, to, ""), restore.Options{})
	if err != nil || len(result.Folders) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if r := result.Folders[0]; r.Messages != 4 || r.Err != nil || len(r.Problems) != 2 || !errors.Is(r.Problems[0], archive.ErrDamaged) || !errors.Is(r.Problems[1], archive.ErrDamaged) {
		t.Errorf("%+v", r)
	}
	for _, m := range folder.Messages {
		if !strings.Contains(heard.String(), m.Body[:100]) {
			t.Errorf("of message %d nothing was sent", m.UID)
		}
	}
	client, err := imapclient.DialInsecure(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Login("brong", "open-sesame").Wait(); err != nil {
		t.Fatal(err)
	}
	if box, err := client.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != 4 {
		t.Errorf("the folder has %+v, %v", box, err)
	}
}

// spoil changes the bytes of an archive around a message of its first folder.
func spoil(t *testing.T, u store.User, path string, uid uint32, change func(b []byte, m index.Message, find func(tar int64) archive.Member) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	m, ok, err := ix.Message(1, 1, uid)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	b = change(b, m, func(tar int64) archive.Member {
		member, err := ix.Member(tar)
		if err != nil {
			t.Fatal(err)
		}
		return member
	})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
