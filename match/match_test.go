package match

import (
	"errors"
	"io"
	"mime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

const header = "From nobody Mon Nov 16 2009\r\n" + // a line that is no field
	"From: =?ISO-8859-1?Q?J=F6rg_M=FCller?= <joerg@example.com>\r\n" +
	"TO: Anna\r\n <anna@example.com>,\r\n\tBob <bob@example.com>\r\n" +
	"Subject: =?utf-8?B?w5xiZXJz?=\r\n =?utf-8?Q?icht_der?= year\r\n  2009\r\n" +
	"Cc : caf\xe9@example.com\r\n" +
	"X-Other: subject:hidden\r\n" +
	"Message-ID: <1.2@example.com>\r\n" +
	"\r\n" +
	"Subject: in the body\r\n"

func message(flags ...string) Message {
	return Message{
		InternalDate: time.Date(2009, 11, 16, 11, 5, 0, 0, time.UTC).Unix(),
		Size:         2048,
		Flags:        func() ([]string, error) { return flags, nil },
		Header:       func() (io.Reader, error) { return strings.NewReader(header), nil },
	}
}

func TestMatch(t *testing.T) {
	for text, want := range map[string]bool{
		"from:jörg":                       true,
		"from:JO\u0308RG":                 true, // the letter and its dots apart
		`from:"jörg müller"`:              true,
		"from:nobody":                     false,
		"from:joerg@EXAMPLE.com":          true,
		"to:bob":                          true,
		`to:"anna <anna@":`:               false,
		`to:"Anna <anna@"`:                true,
		`subject:"übersicht der"`:         true,
		`"subject:der  Year 2009"`:        true,
		"subject:hidden":                  false,
		"subject:body":                    false,
		"cc:café":                         true,
		"message-id:1.2@example.com":      true,
		"from:jörg to:anna subject:over":  false,
		"since:2009-11-16":                true,
		"since:2009-11-17":                false,
		"before:2009-11-16":               false,
		"before:2009-11-17":               true,
		"since:2009-11-16T1105Z":          true,
		"since:2009-11-16T110501Z":        false,
		"since:2009-11-16T11:05":          true,
		"since:2009-11-16T12:05:00+01:00": true,
		"since:2009-11-16T1206+0100":      false,
		"larger:2047":                     true,
		"larger:2kib":                     false,
		"smaller:2kib":                    false,
		"smaller:2049":                    true,
		`flag:\Seen`:                      true,
		"flag:seen":                       true,
		"flag:$label1 Flag:SEEN":          true,
		"flag:flagged":                    false,
		"flag:see":                        false,
	} {
		e, err := Parse(text, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Match(message(`\Seen`, "$Label1")); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// TestZone: a day begins at midnight where the user lives.
func TestZone(t *testing.T) {
	for hours, want := range map[int]bool{0: false, -12: false, 13: true} {
		e, err := Parse("since:2009-11-17", time.FixedZone("", hours*3600))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.Match(message()); got != want || err != nil {
			t.Errorf("%+d hours: %v, %v", hours, got, err)
		}
	}
}

func TestSyntax(t *testing.T) {
	for _, text := range []string{"", "  ", "anna", "from:", "size:3", "since:monday", "since:2009-02-30", "larger:much", "larger:-1",
		`subject:"not closed`, ":x", `""`} {
		if _, err := Parse(text, time.UTC); !errors.Is(err, ErrSyntax) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCheapFirst: a message is not opened for what its index has told already, nor are its flags asked for.
func TestCheapFirst(t *testing.T) {
	unwanted := errors.New("asked for")
	m := message()
	m.Flags = func() ([]string, error) { return nil, unwanted }
	m.Header = func() (io.Reader, error) { return nil, unwanted }
	e, err := Parse("from:anna flag:seen larger:1M", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Match(m); got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if e, err = Parse("flag:seen", time.UTC); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Match(m); !errors.Is(err, unwanted) {
		t.Errorf("an error is lost: %v", err)
	}
}

// TestFound: what a mail program puts into a header is found by any piece of it, however it was encoded and folded.
func TestFound(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		subject := fold(rapid.StringOfN(rapid.RuneFrom([]rune("aBé日ßñ=_. ")), 1, 40, -1).Draw(t, "subject"))
		encoded := rapid.SampledFrom([]func(string) string{
			func(s string) string { return s },
			func(s string) string { return mime.BEncoding.Encode("utf-8", s) },
			func(s string) string { return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), " ", "\r\n ") },
		}).Draw(t, "encode")(subject)
		if subject == "" {
			return
		}
		runes := []rune(subject)
		from := rapid.IntRange(0, len(runes)-1).Draw(t, "from")
		piece := strings.TrimSpace(string(runes[from:rapid.IntRange(from+1, len(runes)).Draw(t, "to")]))
		if piece == "" {
			return
		}
		e, err := Parse(`subject:"`+strings.ToUpper(piece)+`"`, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		m := Message{Header: func() (io.Reader, error) {
			return strings.NewReader("Received: x\r\nSubject: " + encoded + "\r\n\r\nbody"), nil
		}}
		if got, err := e.Match(m); !got || err != nil {
			t.Errorf("%q in %q: %v, %v", piece, encoded, got, err)
		}
	})
}

// FuzzMatch: no expression and no message makes a panic, and what can be parsed can be asked.
func FuzzMatch(f *testing.F) {
	f.Add("from:anna since:2009-11-16 flag:seen", header)
	f.Add(`subject:"a b" larger:1k`, "Subject:=?x?q??=\n =?\n")
	f.Fuzz(func(t *testing.T, text, head string) {
		e, err := Parse(text, time.UTC)
		if err != nil {
			if e != nil || !errors.Is(err, ErrSyntax) {
				t.Fatalf("%v, %v", e, err)
			}
			return
		}
		m := message()
		m.Header = func() (io.Reader, error) { return strings.NewReader(head), nil }
		if _, err := e.Match(m); err != nil {
			t.Fatal(err)
		}
	})
}
