package agent

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestMetadata: it is told of and sent as backupcyrusd does: an array made for the purpose, of no time, with an inode from its digest.
func TestMetadata(t *testing.T) {
	src := mustSpool(t, "day3.tar.gz")
	reports := 0
	ask := func(request string) string {
		t.Helper()
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := newSession(src, strings.NewReader(request), w, func(error) { reports++ }).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const text = "[\n  [\n    \"/comment\",\n    \"alice\",\n    \"my mail\"\n  ]\n]"
	digest := sha1.Sum([]byte(text))
	head := fmt.Sprintf("mailbox_annotations %d 0 %d\n", len(text), binary.NativeEndian.Uint16(digest[:]))
	sent := fmt.Sprintf("DATA %s%sDONE mailbox_annotations %x\n", head, text, digest)
	const inbox = " 39zhxke1nsg784d9egw0abis "

	if got, want := ask("FMETA lab alice INBOX mailbox_annotations\n"), "OK\n"+sent+"DONE FMETA"+inbox+"\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := ask("FMETA lab alice Sent mailbox_annotations\n"); !strings.HasPrefix(got, "OK\nNO empty mailbox_annotations\nDONE FMETA ") {
		t.Errorf("%q", got)
	}
	if got := ask("FMETA lab alice INBOX\n"); !regexp.MustCompile(`^OK\nSTAT header .*\nSTAT index .*\nSTAT annotations .*\nSTAT ` + head + `DONE FMETA`).MatchString(got) {
		t.Errorf("%q", got)
	}
	if got := ask("FMULTISTATUS lab alice\n"); strings.Count(got, "mailbox_annotations") != 1 || !strings.Contains(got, "\nSTAT INBOX "+head+"FOLDER ") {
		t.Errorf("%q", got)
	}
	const snapshot = "SNAPSHOT lab alice user.alice" + inbox + "- 0 -"
	if got := ask(snapshot + "\n"); !strings.Contains(got, "\n"+sent+"DONE SNAPSHOT ") {
		t.Errorf("%q", got)
	}
	if got := ask(fmt.Sprintf("%s mailbox_annotations=%x\n", snapshot, digest)); !strings.Contains(got, "\nSAME "+head+"DONE SNAPSHOT ") {
		t.Errorf("%q", got)
	}
	if reports > 0 {
		t.Errorf("%d reports", reports)
	}

	db := src.Config().Get("annotation_db_path")
	good, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	for how, content := range map[string][]byte{"type": []byte("x"), "bad": good[:len(good)-1]} {
		if err := os.WriteFile(db, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, want := ask("FMETA lab alice INBOX mailbox_annotations\n"), "OK\nNO failed to open file mailbox_annotations\nDONE FMETA"+inbox+"\n"; got != want {
			t.Errorf("%s: got  %q\nwant %q", how, got, want)
		}
		if got := ask(snapshot + "\n"); !strings.Contains(got, "\nUNKNOWN mailbox_annotations "+how+" METADATA%20of%20folders") || strings.Contains(got, "DATA mailbox") {
			t.Errorf("%s: %q", how, got)
		}
		got := ask("FMULTISTATUS lab alice\n")
		if refused := got == "NO failed FMULTISTATUS\n"; refused != (how == "bad") || !refused && (strings.Contains(got, "mailbox_annotations") || !strings.Contains(got, "STAT INBOX header")) {
			t.Errorf("%s: %q", how, got)
		}
	}
}
