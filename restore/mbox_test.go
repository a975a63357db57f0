package restore

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

// TestMboxReadBack: what is written as an mbox is read back as the messages that were put in, however their lines begin and end, and
// in whatever pieces they come.
func TestMboxReadBack(t *testing.T) {
	text := rapid.StringMatching("(>{0,2}(From |Fro|F)?|x|\r|\n|\r\n){0,8}")
	testenv.Check(t, func(t *rapid.T) {
		bodies := rapid.SliceOfN(text, 1, 4).Draw(t, "messages")
		var file bytes.Buffer
		w := bufio.NewWriter(&file)
		for _, b := range bodies {
			w.WriteString("From MAILER-DAEMON now\n")
			q := mboxWriter{w: w, start: true}
			cut := rapid.IntRange(0, len(b)).Draw(t, "cut")
			q.Write([]byte(b[:cut]))
			q.Write([]byte(b[cut:]))
			if err := q.end(); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := readMbox(file.String()); !slices.Equal(got, lfBodies(bodies)) {
			t.Fatalf("%q became %q: %q", bodies, file.String(), got)
		}
	})
}

// readMbox is a reader of mboxrd.
func readMbox(file string) (messages []string) {
	quoted := regexp.MustCompile(`(?m)^>(>*From )`)
	parts := regexp.MustCompile(`(?m)^From MAILER-DAEMON .*\n`).Split(file, -1)
	for _, part := range parts[1:] {
		messages = append(messages, quoted.ReplaceAllString(strings.TrimSuffix(part, "\n"), "$1"))
	}
	return messages
}

// lfBodies have LF at their lines' ends, and at their own.
func lfBodies(bodies []string) (list []string) {
	for _, b := range bodies {
		b = strings.ReplaceAll(b, "\r\n", "\n")
		if b != "" && !strings.HasSuffix(b, "\n") {
			b += "\n"
		}
		list = append(list, b)
	}
	return list
}
