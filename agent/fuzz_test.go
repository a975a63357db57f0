package agent

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/iotest"
	"time"

	"backupfs/internal/testenv"
	"backupfs/internal/wire"
	"backupfs/source"
)

// mustSpool is the spool of a day, as the server's own tools do not see it.
func mustSpool(t testing.TB, name string) *source.Local {
	t.Helper()
	root := t.TempDir()
	if out, err := exec.Command("tar", "--no-same-owner", "-xzf", filepath.Join(testenv.Testdata(t, "spools"), name), "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf := filepath.Join(root, "imapd.conf")
	b, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, bytes.ReplaceAll(b, []byte("@ROOT@"), []byte(root)), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: conf, MboxlistCommand: source.NoMboxlist, MaxPins: 3})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// mustSettle waits until all fingerprints of a user count: from then on the same is answered as long as nothing changes.
func mustSettle(t testing.TB, src *source.Local, user string) {
	t.Helper()
	for {
		boxes, err := src.Mailboxes(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(boxes, func(m source.Mailbox) bool { return m.Fingerprint == "" }) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// FuzzSession: whatever is sent, in whatever pieces, is answered with well-formed replies, and always the same but for how long a lock was
// waited for.
func FuzzSession(f *testing.F) {
	for _, request := range []string{
		"USERS lab\n", "PING\r\nQUIT\nPING\n", "META lab alice\n", "META lab alice seen sub x\nMETA lab \"jane.doe\" sub\n", "FMULTISTATUS lab alice\n",
		"FMETA lab alice INBOX\n", "FMETA lab alice {5}\r\nINBOX header index annotations mailbox_annotations\n", "FDATA lab alice INBOX 3 1 2 99 x 1 5 4\n",
		"FDATA lab jane.doe \"INBOX\" +1 1. 4294967296\n", "FMETA lab alice {3+}\r\nabc\n", "FROB lab x\nFROB\n\n FDATA lab\n", "FMETA lab alice Shared%20Folders/a\n",
		"FDATA lab alice Other%20Users/jane.doe 1\n", "FMETA lab alice \n", "fmeta lab alice %", "\xff lab x\nFDATA lab alice %ff 1\n",
		"PING backupfs\nUNITS lab\nSTATE lab alice -\nSTATE lab nobody 5\n", "VANISHED lab alice INBOX x INBOX.None \nVANISHED lab alice INBOX\n", "SNAPSHOT lab alice user.jane^doe  - 0 -\n",
		"SNAPSHOT lab alice user.alice  - 0 - index=0\nSNAPSHOT lab alice user.alice  7 1 1,3:4,9:* header=\n", "SNAPSHOT lab @shared alice x - 0 1,1\nSNAPSHOT lab\n",
	} {
		f.Add([]byte(request))
	}
	src := mustSpool(f, "day1.tar.gz")
	mustSettle(f, src, "alice")
	answer := func(t *testing.T, in io.Reader) string {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		err := newSession(src, in, w, func(error) {}).run(t.Context())
		if err != nil && !errors.Is(err, errTooLong) {
			t.Fatal(err)
		}
		return waitedFor.ReplaceAllString(out.String(), "$1 0")
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		whole := answer(t, bytes.NewReader(request))
		checkReplies(t, whole)
		if pieces := answer(t, iotest.OneByteReader(bytes.NewReader(request))); pieces != whole {
			t.Fatalf("in one piece %q, in many %q", whole, pieces)
		}
	})
}

var (
	replyLine = regexp.MustCompile(`^(OK|NO .*|DONE [A-Z]+( [^ ]*){0,2}|USER [^ ]+( [^ ]*)?|BACKUPFS 1|MAILBOX( [^ ]*){5}|FILE [a-z]+ [0-9a-f]{40}|BAD [a-z]+ [^ ]+|GONE|KEPT [^ ]+|MISSING \d+ (nofile|bad) [^ ]+|SAME [a-z_]+( \d+){3}|UNKNOWN mailbox_annotations (type|bad) [^ ]+|PROBLEM [^ ]+|FOLDER [^ ]+ [^ ]* [^ ]*|STAT( [^ ]+){1,2} \d+ \d+ \d+)$`)
	waitedFor = regexp.MustCompile(`(?m)^(DONE (?:STATE|SNAPSHOT [^ \n]*)) \d+$`)
	dataLine  = regexp.MustCompile(`^DATA ([^ ]*) (\d+) \d+ \d+$`)
)

// TestPadded: a file that cannot be read to its end is as long as was said, and does not count.
func TestPadded(t *testing.T) {
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	s := newSession(nil, nil, w, func(error) {})
	text := bytes.Repeat([]byte("x"), bufferSize+100)
	if err := s.send(wire.Head{Name: "1", Size: bufferSize + 300}, bytes.NewReader(text), true); err != nil {
		t.Fatal(err)
	}
	if err := s.send(wire.Head{Name: "2", Size: 3}, bytes.NewReader(nil), true); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("DATA 1 %d 0 0\n%s%sNO failed to open file 1\nDATA 2 3 0 0\n\x00\x00\x00NO failed to open file 2\n", bufferSize+300, text, make([]byte, 200))
	if out.String() != want {
		t.Errorf("%.100q, %d bytes, want %d", out.String(), out.Len(), len(want))
	}
}

// checkReplies reads replies as a client does.
func checkReplies(t *testing.T, replies string) {
	rest := []byte(replies)
	for len(rest) > 0 {
		line, behind, ok := bytes.Cut(rest, []byte("\n"))
		m := dataLine.FindSubmatch(line)
		if !ok || m == nil && !replyLine.Match(line) {
			t.Fatalf("%q in %q", line, replies)
		}
		if rest = behind; m == nil {
			continue
		}
		size, err := strconv.Atoi(string(m[2]))
		if err != nil || size > len(rest) {
			t.Fatalf("%q, and %d bytes behind it", line, len(rest))
		}
		done := fmt.Sprintf("DONE %s %x\n", m[1], sha1.Sum(rest[:size]))
		if rest, ok = bytes.CutPrefix(rest[size:], []byte(done)); !ok {
			t.Fatalf("no %q behind the file of %q", done, line)
		}
	}
}
