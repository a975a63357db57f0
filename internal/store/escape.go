package store

import (
	"errors"
	"fmt"
	"strings"
)

// maxName is what file systems take as one name.
const maxName = 255

// ErrName: a user name that cannot have a folder.
var ErrName = errors.New("not a usable user name")

const upperHex = "0123456789ABCDEF"

// plain says whether a byte stands for itself. A dot or a hyphen does not begin a name: no "..", no hidden folder, nothing
// that looks like an option.
func plain(c byte, first bool) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '@', c == '+':
		return true
	case c == '.', c == '-':
		return !first
	}
	return false
}

// Escape makes a user name fit for a file system, a shell and a terminal: every byte but letters, digits and _ @ + . -
// becomes % and two hex digits. Unescape is its inverse.
func Escape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if c := name[i]; plain(c, i == 0) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// Unescape returns the name that Escape made escaped of; what Escape never makes is an error.
func Unescape(escaped string) (string, error) {
	b := make([]byte, 0, len(escaped))
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c == '%' && i+2 < len(escaped) {
			hi, lo := strings.IndexByte(upperHex, escaped[i+1]), strings.IndexByte(upperHex, escaped[i+2])
			if hi >= 0 && lo >= 0 {
				c, i = byte(hi<<4|lo), i+2
			}
		}
		b = append(b, c)
	}
	name := string(b)
	if name == "" || Escape(name) != escaped {
		return "", fmt.Errorf("%q: %w", escaped, ErrName)
	}
	return name, nil
}
