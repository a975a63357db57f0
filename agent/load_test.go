package agent_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/agent"
	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
)

// TestUnderLoad backs a folder up, as Cyrus::Backup does, while others write to it: each index is whole, and each message that it lists is what it
// says, or was expunged in between.
func TestUnderLoad(t *testing.T) {
	lab, c, addr := mustServer(t, cyruslab.Options{ImmediateExpunge: true}, 7, agent.Options{})
	for n := range 40 {
		mustAppend(t, c, "INBOX", fmt.Sprintf("Subject: %d\r\n\r\n%s", n, strings.Repeat("x", 100*n)))
	}
	var writers errgroup.Group
	stop := make(chan struct{})
	for w := range 2 {
		c := lab.MustLogin(t, "alice")
		writers.Go(func() error {
			if _, err := c.Select("INBOX"); err != nil {
				return err
			}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return nil
				default:
				}
				if err := c.Append("INBOX", fmt.Appendf(nil, "Subject: writer %d, %d\r\n\r\n", w, n), time.Time{}); err != nil {
					return err
				}
				uids, err := c.UIDs()
				if err == nil && len(uids) > 40 {
					err = c.Expunge(fmt.Sprint(uids[n%len(uids)]))
				}
				if err != nil {
					return err
				}
			}
		})
	}
	snapshots, sent, gone := 0, 0, 0
	for began := time.Now(); time.Since(began) < 3*time.Second || snapshots < 10 || sent < 10*20; snapshots++ { // however slow the machine is
		files, _ := mustFiles(t, mustAskString(t, addr, "FMETA lab alice INBOX header index annotations mailbox_annotations\n"))
		ix, err := cyrus.ParseIndex([]byte(files["index"]))
		must(t, err)
		guids, words := map[string]string{}, ""
		for _, r := range ix.Records {
			if !r.Expunged() {
				word := strconv.Itoa(int(r.UID))
				guids[word], words = hex.EncodeToString(r.GUID[:]), words+" "+word
			}
		}
		if !ix.HeaderCRCOK || len(guids) != int(ix.Exists) {
			t.Errorf("an index of %d with %d messages", ix.Exists, len(guids))
		}
		files, missing := mustFiles(t, mustAskString(t, addr, "FDATA lab alice INBOX"+words+"\n"))
		for word, guid := range guids {
			body, ok := files[word]
			if ok {
				sent++
			} else if gone++; !missing[word] {
				t.Errorf("message %s: no answer", word)
			}
			if digest := fmt.Sprintf("%x", sha1.Sum([]byte(body))); ok && digest != guid {
				t.Errorf("message %s has digest %s, the index says %s", word, digest, guid)
			}
		}
	}
	close(stop)
	must(t, writers.Wait())
	t.Logf("%d snapshots, %d messages sent, %d gone", snapshots, sent, gone)
}

// mustFiles takes a reply to pieces: the files that came, and the names of those that are missing.
func mustFiles(t *testing.T, reply string) (files map[string]string, missing map[string]bool) {
	t.Helper()
	files, missing = map[string]string{}, map[string]bool{}
	rest := []byte(reply)
	for len(rest) > 0 {
		line, behind, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			t.Fatalf("a line that does not end: %q", line)
		}
		rest = behind
		words := strings.Fields(string(line))
		switch words[0] {
		case "DATA":
			size, err := strconv.Atoi(words[2])
			if err != nil || size > len(rest) {
				t.Fatalf("%q, and %d bytes behind it", line, len(rest))
			}
			files[words[1]] = string(rest[:size])
			rest = rest[size:]
		case "NO":
			missing[words[len(words)-1]] = true
		}
	}
	return files, missing
}
