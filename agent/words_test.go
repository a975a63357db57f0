package agent

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestNames: a name in each form, and what stands behind it.
func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"INBOX rest":                      `"INBOX" ' '`,
		"INBOX\r\n":                       `"INBOX" '\r'`,
		"INBOX.a(b)":                      `"INBOX.a" '('`,
		"INBOX":                           `"INBOX" end`,
		"a%20b\n":                         `"a b" '\n'`,
		`"a b" x`:                         `"a b" ' '`,
		`"a\"b\\"x`:                       `"a\"b\\" 'x'`,
		"\"a\n":                           `"a" none '\n'`,
		`"a`:                              `"a" none end`,
		`"a\`:                             `"a" none end`,
		" x":                              `"" none ' '`,
		"":                                `"" none end`,
		"{3}\r\na\nb c":                   `"a\nb" ' '`,
		"{3}\r\na%2":                      `"a%2" end`,
		"{4}\r\na%2":                      `"a%2" none end`,
		"{3}\na b":                        `"" none '\n'`,
		"{3+}\r\na b":                     `"" none '+'`,
		"{}\r\n":                          `"" none '}'`,
		"{3}\r\na\x00b c":                 `"a" none ' '`,
		"{99999999999999}\r\n":            `"" none end, too long`,
		strings.Repeat("x", maxRequest+1): fmt.Sprintf("%q end, too long", strings.Repeat("x", maxRequest)),
	} {
		w := words{in: bufio.NewReader(strings.NewReader(in)), left: maxRequest}
		name, c := w.name()
		got := fmt.Sprintf("%q ", name)
		if c == noWord {
			got += "none "
			c = w.next()
		}
		if c == ended {
			got += "end"
		} else {
			got += fmt.Sprintf("%q", rune(c))
		}
		if errors.Is(w.err, errTooLong) {
			got += ", too long"
		}
		if got != want {
			t.Errorf("%.50q: %.50s, want %.50s", in, got, want)
		}
	}
}

// TestLine: where the next request begins.
func TestLine(t *testing.T) {
	for in, next := range map[string]string{
		" a b\nNEXT":             "NEXT",
		"\nNEXT":                 "NEXT",
		" {3+}\r\na\nb\nc\nNEXT": "c",
		" {5+}\r\na\nb\nc\nNEXT": "NEXT",
		" {3+}\na\nbc\nNEXT":     "NEXT",
		" {3}\r\nNEXT":           "NEXT",
		" {x\nNEXT":              "NEXT",
		" {{3+}\na\nbc\nNEXT":    "NEXT",
		" {3+x\nNEXT":            "NEXT",
		" a":                     "",
	} {
		w := words{in: bufio.NewReader(strings.NewReader(in)), left: maxRequest}
		w.line(w.next())
		if got, _ := w.word(); got != next {
			t.Errorf("%q: next is %q, want %q", in, got, next)
		}
	}
}
