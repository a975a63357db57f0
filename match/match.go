// Package match is the language in which messages are searched for: from:anna subject:"annual report" since:2026-11-01.
//
// An expression is terms, separated by white space, that must all hold. A term is key:value; a value with white space stands in
// double quotes. What a term says of a message is what the IMAP search key of that name says: text is found anywhere in the
// header field, whatever its case.
package match

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// ErrSyntax: an expression that cannot be understood.
var ErrSyntax = errors.New("not a search expression")

// Message is what an expression asks about. Flags and Header are called only where a term needs them and those that cost
// nothing hold, each at most once.
type Message struct {
	InternalDate int64 // Unix seconds
	Size         int64
	Flags        func() ([]string, error)  // as cyrus.Record.FlagNames
	Header       func() (io.Reader, error) // the message from its beginning; read up to the end of the header
}

// Expr is an expression. It is immutable.
type Expr struct {
	terms  []func(m *Message) bool // on what costs nothing
	flags  []string                // lower case, a system flag without its backslash
	fields []field
}

// field is a header field that must hold a text.
type field struct{ name, text string }

// headerKeys lead to the header field that they are about.
var headerKeys = map[string]string{"from": "from", "to": "to", "cc": "cc", "subject": "subject", "message-id": "message-id"}

// Keys of terms, as a help shows them.
const Keys = "from, to, cc, subject, message-id, since, before, larger, smaller, flag"

// Parse reads an expression; errors are ErrSyntax. Days begin at midnight in loc.
func Parse(text string, loc *time.Location) (*Expr, error) {
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrSyntax)
	}
	e := &Expr{}
	for _, w := range words {
		if err := e.term(w, loc); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSyntax, w, err)
		}
	}
	return e, nil
}

func (e *Expr) term(word string, loc *time.Location) error {
	key, value, ok := strings.Cut(word, ":")
	if !ok {
		return errors.New("want key:value")
	}
	key = strings.ToLower(key)
	if value == "" {
		return errors.New("there is nothing behind the colon")
	}
	switch key {
	case "since", "before":
		t, err := moment(value, loc)
		if err != nil {
			return err
		}
		e.terms = append(e.terms, func(m *Message) bool { return (m.InternalDate >= t) == (key == "since") })
	case "larger", "smaller":
		n, err := humanize.ParseBytes(value)
		if err != nil {
			return errors.New("want a size, as 100k or 2MiB")
		}
		e.terms = append(e.terms, func(m *Message) bool {
			size := uint64(max(m.Size, 0))
			return key == "larger" && size > n || key == "smaller" && size < n
		})
	case "flag":
		e.flags = append(e.flags, flagName(value))
	default:
		name := headerKeys[key]
		if name == "" {
			return fmt.Errorf("no such key; there are %s", Keys)
		}
		e.fields = append(e.fields, field{name, fold(value)})
	}
	return nil
}

// split takes an expression apart at white space that is not in quotes.
func split(text string) (words []string, err error) {
	var word strings.Builder
	inWord, quoted := false, false
	for _, r := range text + " " {
		switch space := strings.ContainsRune(" \t\r\n", r); {
		case r == '"':
			inWord, quoted = true, !quoted
		case space && inWord && !quoted:
			words = append(words, word.String())
			word.Reset()
			inWord = false
		case !space || quoted:
			inWord = true
			word.WriteRune(r)
		}
	}
	if quoted {
		return nil, fmt.Errorf("%w: %s: a quote is not closed", ErrSyntax, text)
	}
	return words, nil
}

// moments are the forms of a time: as in the names of dates in a mount, and as everywhere else.
var moments = []string{"2006-01-02", "2006-01-02T1504Z0700", "2006-01-02T150405Z0700", "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339}

func moment(value string, loc *time.Location) (int64, error) {
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, value, loc); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, errors.New("want a date, as 2026-11-01 or 2026-11-01T15:04")
}

// flagName is a flag in lower case, a system flag without its backslash, which shells and people lose.
func flagName(s string) string { return strings.ToLower(strings.TrimPrefix(s, `\`)) }

// Match reports whether all terms hold for a message. An error is one of m's functions.
func (e *Expr) Match(m Message) (bool, error) {
	for _, holds := range e.terms {
		if !holds(&m) {
			return false, nil
		}
	}
	if len(e.flags) > 0 {
		flags, err := m.Flags()
		if err != nil {
			return false, err
		}
		for _, want := range e.flags {
			if !slices.ContainsFunc(flags, func(f string) bool { return flagName(f) == want }) {
				return false, nil
			}
		}
	}
	if len(e.fields) == 0 {
		return true, nil
	}
	r, err := m.Header()
	if err != nil {
		return false, err
	}
	header, err := readHeader(r)
	if err != nil {
		return false, err
	}
	for _, f := range e.fields {
		if !slices.ContainsFunc(header[f.name], func(value []byte) bool { return strings.Contains(fold(decode(string(value))), f.text) }) {
			return false, nil
		}
	}
	return true, nil
}
