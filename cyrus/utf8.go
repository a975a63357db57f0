package cyrus

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-imap/utf7"
)

// UTF8Path is a TreePath as people read it: modified UTF-7 is decoded. It is as injective as that.
//
// A component that is no modified UTF-7 as a server would spell it, or that cannot be a readable file name, stays as it is; so that it is not
// taken for what another one means, a percent sign stands before its first byte that is special. Those into which a long one was split
// stay as they are.
func UTF8Path(path []string) []string {
	shown := make([]string, len(path))
	goesOn := false
	for i, c := range path {
		wentOn := goesOn
		if goesOn = len(c) > 1 && strings.HasSuffix(c, "%"); goesOn || wentOn {
			shown[i] = c
		} else {
			shown[i] = utf8Component(c)
		}
	}
	return shown
}

// utf8Component leaves a name of maxComponent bytes as it is, and makes none: that one has no room for a percent sign.
func utf8Component(c string) string {
	special := strings.IndexFunc(c, func(r rune) bool { return r == '&' || r >= utf8.RuneSelf })
	if special < 0 || len(c) == maxComponent {
		return c
	}
	text, err := utf7.Encoding.NewDecoder().String(c)
	if err == nil && len(text) < maxComponent && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		if again, err := utf7.Encoding.NewEncoder().String(text); err == nil && again == c {
			return text
		}
	}
	return c[:special] + "%" + c[special:]
}
