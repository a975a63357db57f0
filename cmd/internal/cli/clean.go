package cli

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Clean makes a name or message fit for a terminal: control characters, invisible ones and bytes that are no UTF-8 come out as
// escapes. Names come from a server's users, who may put anything in them.
func Clean(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[i : i+n])
		} else {
			quoted := strconv.Quote(s[i : i+n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += n
	}
	return b.String()
}

// Guard lets nothing through to w that a terminal obeys, but newlines and tabs. Run puts it between a command and its output, behind
// Clean, for what nobody thought of, and for JSON: its own rules let DEL, C1 and bidi controls stand. They come out as JSON's escapes.
func Guard(w io.Writer) io.Writer { return guard{w} }

type guard struct{ w io.Writer }

func (g guard) Write(p []byte) (int, error) {
	rest := p
	var b bytes.Buffer
	for len(rest) > 0 {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			b.Write(rest[:n])
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		rest = rest[n:]
	}
	if _, err := g.w.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Lines makes what is written to w fit for a log: each write is one line, whatever it holds.
func Lines(w io.Writer) io.Writer { return lines{w} }

type lines struct{ w io.Writer }

func (l lines) Write(p []byte) (int, error) {
	if _, err := io.WriteString(l.w, Clean(string(bytes.TrimSuffix(p, []byte("\n"))))+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Shell makes a word that can be typed into a shell as it is shown.
func Shell(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/@%+=:,._-", r)
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
