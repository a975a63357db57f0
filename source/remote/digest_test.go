package remote

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"backupfs/cyrus"
	"backupfs/source"
)

// TestSame: a meta file that we have is not sent again.
func TestSame(t *testing.T) {
	spool := mustSpool(t)
	dial := mustAgent(t, spool)
	var heard bytes.Buffer
	src := mustOpen(t, func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		return overheard{c, &heard}, err
	}, Options{})
	boxes, err := src.Mailboxes(t.Context(), "alice")
	must(t, err)
	mustDigests(t, src, boxes[0])
	for _, name := range []string{"index", "header"} {
		sent, same := strings.Count(heard.String(), "\nDATA "+name+" "), strings.Count(heard.String(), "\nSAME "+name+" ")
		if sent != 1 || same != 1 {
			t.Errorf("%s: sent %d times, the same %d times", name, sent, same)
		}
	}
}

// overheard keeps what comes.
type overheard struct {
	net.Conn
	heard *bytes.Buffer
}

func (o overheard) Read(p []byte) (int, error) {
	n, err := o.Conn.Read(p)
	o.heard.Write(p[:n])
	return n, err
}

// TestWrongDigest: bytes that are not what the server says of them are handed to nobody.
func TestWrongDigest(t *testing.T) {
	defer func(b []time.Duration) { backoff = b }(backoff)
	backoff = nil
	text := []byte("Subject: x\r\n\r\n")
	ix := &cyrus.Index{Version: 17, UIDValidity: 5, LastUID: 1, Exists: 1}
	ix.Records = []cyrus.Record{{UID: 1, GUID: sha1.Sum(text), Size: uint64(len(text))}}
	index, err := ix.Marshal()
	must(t, err)
	header := []byte("\xa1\x02\x8b\x0dCyrus mailbox header\n\"One\"\n\tTwo\n\tid\n$Work\nbrong\tlrs\t\n")
	wrong := func(file string) string { return file[:len(file)-3] + "xy\n" }
	for name, c := range map[string]struct {
		index, header, message string
		right                  bool
	}{
		"right":   {index: fileOf("index", index), header: fileOf("header", header), message: fileOf("1", text), right: true},
		"index":   {index: wrong(fileOf("index", index)), header: fileOf("header", header), message: fileOf("1", text)},
		"header":  {index: fileOf("index", index), header: wrong(fileOf("header", header)), message: fileOf("1", text)},
		"message": {index: fileOf("index", index), header: fileOf("header", header), message: wrong(fileOf("1", text))},
	} {
		t.Run(name, func(t *testing.T) {
			same := "SAME index 288 1254175711 7\nSAME header 60 1254175711 7\n"
			src := scripted([]byte("OK\n"+c.index+c.header+"DONE SNAPSHOT fp -\nOK\n"+c.message+same+"DONE SNAPSHOT fp -\n"), true)
			m := source.Mailbox{Mailbox: cyrus.Mailbox{Name: "user.brong", UniqueID: "id"}, Archived: "INBOX"}
			delivered := 0
			_, err := src.Fetch(t.Context(), m, func(*cyrus.Index, *cyrus.Record) bool { return true }, func(source.Message) error {
				delivered++
				return nil
			})
			if c.right != (err == nil) || c.right != (delivered == 1) || !c.right && !errors.Is(err, source.ErrLost) {
				t.Errorf("%d delivered, %v", delivered, err)
			}
		})
	}
}
