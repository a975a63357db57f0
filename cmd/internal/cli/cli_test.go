package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/internal/testenv"
	"backupfs/lock"
)

// Every code in the docs' table has an error that leads to it, and no error leads to another one.
func TestCodeIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[int]string)
	for _, m := range regexp.MustCompile(`(?m)^\| (\d) \| (.+) \|$`).FindAllStringSubmatch(string(b), -1) {
		n, _ := strconv.Atoi(m[1])
		documented[n] = m[2]
	}
	var tally Tally
	tally.Add(nil, false)
	tally.Add(fmt.Errorf("x: %w", lock.ErrBusy), false)
	seen := make(map[int]bool)
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "all right"},
		{errors.New("disk full"), "failed"},
		{Usagef("no %s", "store"), "wrong usage"},
		{WithHint(Usagef("no store"), "backupd --help"), "wrong usage"},
		{fmt.Errorf("%w", ErrPartial), "done, but some users or messages failed; they are named"},
		{tally.Err(), "done, but some users or messages failed; they are named"},
		{fmt.Errorf("brong: %w", lock.ErrBusy), "the store is in use"},
		{fmt.Errorf("a.tar.gz: %w", archive.ErrDamaged), "damaged data found"},
		{fmt.Errorf("cyrus.index: %w", cyrus.ErrDamaged), "damaged data found"},
	} {
		code := Code(c.err)
		seen[code] = true
		if documented[code] != c.want {
			t.Errorf("%v: code %d, documented as %q, want %q", c.err, code, documented[code], c.want)
		}
	}
	for code := range documented {
		if !seen[code] {
			t.Errorf("no error leads to code %d", code)
		}
	}
	if len(documented) != len(Codes) {
		t.Errorf("the docs have %d codes, the program %d", len(documented), len(Codes))
	}
}

func TestTally(t *testing.T) {
	busy, damaged := lock.ErrBusy, archive.ErrDamaged
	type outcome struct {
		err      error
		problems bool
	}
	for _, c := range []struct {
		outcomes []outcome
		code     int
		text     string
	}{
		{nil, OK, ""},
		{[]outcome{{nil, false}, {nil, false}}, OK, ""},
		{[]outcome{{nil, true}}, Partial, "1 of 1 users with problems: "},
		{[]outcome{{busy, false}}, Busy, ""},
		{[]outcome{{busy, false}, {busy, false}}, Busy, "all 2 users failed"},
		{[]outcome{{busy, false}, {nil, false}}, Partial, "1 of 2 users failed: "},
		{[]outcome{{busy, false}, {nil, true}}, Partial, "1 of 2 users failed, 1 with problems: "},
		{[]outcome{{damaged, false}, {nil, false}}, Damaged, "1 of 2 users failed, damaged data among them"},
		{[]outcome{{busy, false}, {damaged, false}}, Damaged, ""},
		{[]outcome{{Usagef("x"), false}}, Usage, ""},
	} {
		var tally Tally
		for _, o := range c.outcomes {
			tally.Add(o.err, o.problems)
		}
		err := tally.Err()
		if Code(err) != c.code || err != nil && !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%v: %d %v, want %d %q", c.outcomes, Code(err), err, c.code, c.text)
		}
	}
}

func TestReport(t *testing.T) {
	err := WithHint(fmt.Errorf("bad\x1b[31m name: %w", lock.ErrBusy), "backupd list --store %s", "/s")
	for _, c := range []struct {
		json bool
		want string
	}{
		{false, "backupd: bad\\x1b[31m name: locked by another process\nhint: backupd list --store /s\n"},
		{true, `{"error":"bad\u001b[31m name: locked by another process","code":4,"hint":"backupd list --store /s"}` + "\n"},
	} {
		var b bytes.Buffer
		Report(&b, "backupd", err, c.json)
		if b.String() != c.want {
			t.Errorf("got  %q\nwant %q", b.String(), c.want)
		}
	}
}

func TestCleanLeavesNothingThatHarms(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "string")
		clean := Clean(s)
		for _, r := range clean {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", clean, r)
			}
		}
		if Clean(clean) != clean {
			t.Fatalf("%q cleaned twice is %q", clean, Clean(clean))
		}
	})
	for in, want := range map[string]string{
		"INBOX.Entwürfe": "INBOX.Entwürfe",
		"a\nb":           `a\nb`,
		"\x9b31m":        `\x9b31m`,
		"\u202etxt":      `\u202etxt`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q", in, got)
		}
	}
}

func TestGuard(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) + rapid.String().Draw(t, "string")
		var guarded, logged bytes.Buffer
		if n, err := Guard(&guarded).Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
		for _, r := range guarded.String() {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", guarded.String(), r)
			}
		}
		if _, err := Lines(&logged).Write([]byte(s + "\n")); err != nil || logged.String() != Clean(s)+"\n" {
			t.Fatalf("%q, %v", logged.String(), err)
		}
		// JSON stays JSON, of the same text.
		plain, err := json.Marshal(s)
		guarded.Reset()
		if _, err2 := Guard(&guarded).Write(plain); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		var want, got string
		if err := errors.Join(json.Unmarshal(plain, &want), json.Unmarshal(guarded.Bytes(), &got)); err != nil || got != want {
			t.Fatalf("%q becomes %q, %v", want, got, err)
		}
	})
}

func TestShell(t *testing.T) {
	for in, want := range map[string]string{
		"/srv/backup": "/srv/backup", "brong@example.com": "brong@example.com",
		"": "''", "my store": "'my store'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'",
	} {
		if got := Shell(in); got != want {
			t.Errorf("Shell(%q) = %s, want %s", in, got, want)
		}
	}
}
