package wire

import "strings"

const upperHex = "0123456789ABCDEF"

// Encode writes a name as one word: all but A-Z a-z 0-9 - . _ ~ as %XX.
//
// cyrus: imap/backupcyrusd.c puturistring
func Encode(s string) string { return escape(s, unsafe) }

// Echo writes a bare word as it came, but no byte above 0x7F.
func Echo(s string) string { return escape(s, func(c byte) bool { return c >= 0x80 }) }

func unsafe(c byte) bool {
	return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' && c != '~'
}

func escape(s string, must func(byte) bool) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; must(c) {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Decode is the inverse of Encode, and more liberal: a percent sign with less than two characters behind it stands for itself, and so
// does one before what are no hex digits, which are lost. A NUL ends a name.
//
// cyrus: imap/backupcyrusd.c geturistring
func Decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && len(s)-i > 2 {
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
			}
			i += 2
		}
		if c == 0 {
			break
		}
		b.WriteByte(c)
	}
	return b.String()
}

// hexDigit is the value of a digit, -1 of what is none.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
