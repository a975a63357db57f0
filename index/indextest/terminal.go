package indextest

import (
	"bytes"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Nasty are names by somebody who means harm. Each has one thing that a terminal obeys, that begins a line of its own, or that hides or turns
// what stands beside it.
var Nasty = []string{
	"esc\x1b[31m", "csi\u009b31m", "raw\x9b31m", "bell\a", "return\r", "back\b\b", "del\x7f", "line\nforged", "bidi\u202egpj", "hidden\u200b",
}

// Obeyed returns an error that names the first thing in what was printed that is not for the eye, nil if there is none.
func Obeyed(printed []byte) error {
	for i := 0; i < len(printed); {
		r, n := utf8.DecodeRune(printed[i:])
		if r != '\n' && !unicode.IsPrint(r) || r == utf8.RuneError && n == 1 {
			return fmt.Errorf("%q behind %q", printed[i:i+n], printed[max(0, i-60):i])
		}
		i += n
	}
	if bytes.Contains(printed, []byte("\nforged")) {
		return errors.New("a name begins a line")
	}
	return nil
}
