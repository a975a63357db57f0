package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/source"
)

// script is a server that says the same whatever it is asked.
type script struct {
	net.Conn
	says io.Reader
}

func (s script) Read(p []byte) (int, error)     { return s.says.Read(p) }
func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) Close() error                     { return nil }

// scripted is a source behind such a server.
func scripted(reply []byte, extended bool) *Source {
	s := &Source{name: "lab", extended: extended, dial: func(context.Context) (net.Conn, error) { return nil, errDown }}
	s.clock.settled = settled
	s.names.conf = cyrus.Namespace(false, false)
	c := &conn{nc: script{says: bytes.NewReader(reply)}, name: "lab"}
	c.in = bufio.NewReaderSize(c, maxLine)
	s.idle = []*conn{c}
	return s
}

// fileOf is a file as it is sent.
func fileOf(name string, data []byte) string {
	return fmt.Sprintf("DATA %s %d 1254175711 7\n%sDONE %s %x\n", name, len(data), data, name, sha1.Sum(data))
}

// FuzzReply: whatever is answered, no more memory is taken than it bears out, a message is delivered only if it is asked for, once, with the bytes
// that its digest says, and the mailbox is what the index says.
func FuzzReply(f *testing.F) {
	text := []byte("Subject: x\r\n\r\n")
	ix := &cyrus.Index{Version: 17, UIDValidity: 5, LastUID: 2, Exists: 2}
	for uid := range uint32(2) {
		ix.Records = append(ix.Records, cyrus.Record{UID: uid + 1, GUID: sha1.Sum(text), Size: uint64(len(text))})
	}
	index, err := ix.Marshal()
	must(f, err)
	ix.Records = []cyrus.Record{{UID: 3, GUID: sha1.Sum(text)}}
	record, err := ix.Marshal()
	must(f, err)
	header := []byte("\xa1\x02\x8b\x0dCyrus mailbox header\n\"One\"\n\tTwo\n\tid\n$Work\nbrong\tlrs\t\n")
	metas := fileOf("index", index) + fileOf("header", header)
	same := "SAME index 288 1254175711 7\nSAME header 60 1254175711 7\n"
	for _, reply := range []string{
		"OK\nUSER brong default\nUSER a%20b p2\nPROBLEM x\nDONE UNITS\n", "OK\nUSER brong\nDONE USERS\n", "NO failed USERS\n", "OK\nDATA seen 99999999999 0 0\n",
		"OK\nFILE seen " + strings.Repeat("0", 40) + "\nBAD sub x\nMAILBOX user.brong id default id fp\nDONE STATE 5\n",
		"OK\nFOLDER INBOX id \nSTAT INBOX header 1 2 3\nDONE FMULTISTATUS\n", "OK\nGONE\nKEPT x\nDONE VANISHED\n", "NO no such user brong\n", "NO busy 7 x\n",
		"OK\n" + metas + "DONE SNAPSHOT fp -\nOK\n" + fileOf("1", text) + "MISSING 2 nofile x\n" + fileOf("record", record) + fileOf("3", text) + same + "DONE SNAPSHOT - 3\n",
		"OK\n" + metas + "DONE SNAPSHOT fp -\nOK\nDATA 1 3 0 0\nabcNO failed\nDATA 2 3 0 0\n", "OK\n" + fileOf("index", header) + "DONE SNAPSHOT\n",
		"OK\n" + fileOf("header", header) + fileOf("index", index) + "NO no such file annotations\nNO empty mailbox_annotations\nDONE FMETA id \n" +
			"OK\n" + fileOf("1", text) + "NO no such file 2\nDONE FDATA id \nOK\n" + fileOf("header", header) + fileOf("index", index) + "NO no such file annotations\nNO empty\nDONE FMETA id \n",
	} {
		f.Add([]byte(reply))
	}
	backoff = nil
	f.Fuzz(func(t *testing.T, reply []byte) {
		for _, extended := range []bool{true, false} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			ctx := source.OneWait(t.Context())
			_, _ = scripted(reply, extended).Users(ctx)
			_, _ = scripted(reply, extended).UserFiles(ctx, "brong", nil)
			_, _ = scripted(reply, extended).Mailboxes(ctx, "brong")
			_, _ = scripted(reply, extended).Vanished(ctx, "brong", []source.Known{{Archived: "INBOX"}, {Archived: "INBOX.a", UniqueID: "i"}})
			fetchScripted(t, ctx, scripted(reply, extended))
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20+256*uint64(len(reply)) {
				t.Errorf("%d bytes took %d of memory", len(reply), took)
			}
		}
	})
}

func fetchScripted(t *testing.T, ctx context.Context, s *Source) {
	asked, delivered := map[uint32]bool{}, map[uint32]bool{}
	m := source.Mailbox{Mailbox: cyrus.Mailbox{Name: "user.brong", UniqueID: "id"}, Archived: "INBOX"}
	validity := uint32(0)
	snap, err := s.Fetch(ctx, m, func(ix *cyrus.Index, r *cyrus.Record) bool {
		if validity != ix.UIDValidity {
			validity = ix.UIDValidity
			clear(delivered)
		}
		asked[r.UID] = true
		return true
	}, func(m source.Message) error {
		if !asked[m.Record.UID] || delivered[m.Record.UID] {
			t.Errorf("UID %d is delivered", m.Record.UID)
		}
		delivered[m.Record.UID] = true
		b, err := io.ReadAll(io.NewSectionReader(m.Body, 0, 1<<40))
		if err != nil || int64(len(b)) != m.Size {
			t.Errorf("UID %d: %d bytes of %d, %v", m.Record.UID, len(b), m.Size, err)
		}
		return nil
	})
	if err != nil {
		if snap != nil {
			t.Error("a snapshot with an error")
		}
		return
	}
	if ix, err := cyrus.ParseIndex(snap.Files[0].Data); err != nil || ix.NumRecords != snap.Index.NumRecords {
		t.Errorf("the index is not that of the file: %v", err)
	}
}
