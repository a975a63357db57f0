package agent

import (
	"bufio"
	"errors"
	"strings"

	"backupfs/internal/wire"
)

// maxRequest bounds a request: a thousand UIDs take 10 kB, and no more are asked for at a time by Cyrus's own client.
const maxRequest = 256 << 10

var errTooLong = errors.New("the request is too long")

// What stands behind a word where no byte does.
const (
	ended  = -1 // nothing more comes
	noWord = -2 // no word begins here, or it is not well formed; the byte that is wrong comes next
)

// words takes requests to pieces as Cyrus does, which is not line by line: a literal holds any byte.
//
// cyrus: imap/imapparse.c getword getxstring eatline
type words struct {
	in   *bufio.Reader
	left int   // bytes that this request may still have
	err  error // why nothing more comes
}

// whole is an error if what was read is not all that was sent, for its length.
func (w *words) whole() error {
	if w.err == errTooLong {
		return w.err
	}
	return nil
}

func (w *words) next() int {
	if w.err == nil && w.left == 0 {
		w.err = errTooLong
	}
	if w.err != nil {
		return ended
	}
	b, err := w.in.ReadByte()
	if err != nil {
		w.err = err
		return ended
	}
	w.left--
	return int(b)
}

// back gives back what next returned last.
func (w *words) back(c int) {
	if c != ended && w.in.UnreadByte() == nil {
		w.left++
	}
}

// isSpace as C has it.
func isSpace(c int) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func endsAtom(c int) bool { return c < 0 || isSpace(c) || c == '(' || c == ')' || c == '"' }

// word reads a bare word, which may be empty, and what ends it.
func (w *words) word() (string, int) { return w.atom(w.next()) }

func (w *words) atom(c int) (string, int) {
	var b strings.Builder
	for ; !endsAtom(c); c = w.next() {
		b.WriteByte(byte(c))
	}
	return b.String(), c
}

// rest reads the words behind c, as far as each has one space before it.
func (w *words) rest(c int) (list []string, last int) {
	for c == ' ' {
		var word string
		word, c = w.word()
		list = append(list, word)
	}
	return list, c
}

// name reads a name: an atom, a "quoted" string or a {literal}, percent-encoded.
func (w *words) name() (string, int) {
	s, c := w.astring()
	return wire.Decode(s), c
}

func (w *words) astring() (string, int) {
	switch c := w.next(); c {
	case '"':
		return w.quoted()
	case '{':
		return w.literal()
	default:
		if endsAtom(c) {
			w.back(c)
			return "", noWord
		}
		return w.atom(c)
	}
}

func (w *words) quoted() (string, int) {
	var b strings.Builder
	for {
		c := w.next()
		switch c {
		case '"':
			return b.String(), w.next()
		case '\\':
			if c = w.next(); c == ended {
				return b.String(), noWord
			}
		case ended, '\r', '\n':
			w.back(c)
			return b.String(), noWord
		}
		b.WriteByte(byte(c))
	}
}

// literal reads one behind its brace: {n}, CR LF and n bytes. Nothing is sent to ask for them.
func (w *words) literal() (string, int) {
	n, c := w.number()
	if n < 0 {
		w.back(c)
		return "", noWord
	}
	for _, want := range "}\r\n" {
		if c != int(want) {
			w.back(c)
			return "", noWord
		}
		if want != '\n' {
			c = w.next()
		}
	}
	if n > w.left {
		w.left = 0 // it cannot be had
	}
	var b strings.Builder
	for ; n > 0; n-- {
		c := w.next()
		if c == ended {
			return b.String(), noWord
		}
		b.WriteByte(byte(c))
	}
	if strings.Contains(b.String(), "\x00") {
		return b.String(), noWord
	}
	return b.String(), w.next()
}

// number reads digits and what follows. It is -1 if there are none, and not over what no request can have.
func (w *words) number() (n, c int) {
	n = -1
	for c = w.next(); c >= '0' && c <= '9'; c = w.next() {
		n = min(10*max(n, 0)+c-'0', maxRequest)
	}
	return n, c
}

// line reads to the end of a request, of which c was read last. Literals of the form {n+} in it are part of it.
func (w *words) line(c int) {
	for c != '\n' && w.err == nil {
		if c == '{' {
			c = w.skipLiteral()
		} else {
			c = w.next()
		}
	}
}

// skipLiteral returns what stands behind a literal, or what shows that there is none.
func (w *words) skipLiteral() int {
	n, c := w.number()
	for _, want := range "+}" {
		if c != int(want) {
			return c
		}
		c = w.next()
	}
	if c == '\r' {
		c = w.next()
	}
	if c != '\n' {
		return c
	}
	for ; n > 0 && w.err == nil; n-- {
		w.next()
	}
	return w.next()
}
