package match

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/unicode/norm"
)

// maxHeader is how much of a message is looked at for the end of its header: ten times what mail servers take.
const maxHeader = 1 << 20

// readHeader returns the fields that are searched for, by their names in lower case, raw but for the folding. It is not
// net/mail's reader, which gives up at a line that is no field: old mail has such lines, and must be found as well.
func readHeader(r io.Reader) (map[string][][]byte, error) {
	header := map[string][][]byte{}
	var value *[]byte // of the field that a line may go on with
	lines := bufio.NewReader(io.LimitReader(r, maxHeader))
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end := err != nil
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return header, nil
		}
		if line[0] == ' ' || line[0] == '\t' {
			if value != nil {
				*value = append(*value, line...)
			}
		} else {
			value = nil
			name, rest, _ := bytes.Cut(line, []byte(":"))
			if name := strings.ToLower(string(bytes.TrimRight(name, " \t"))); headerKeys[name] != "" {
				header[name] = append(header[name], rest)
				value = &header[name][len(header[name])-1]
			}
		}
		if end {
			return header, nil
		}
	}
}

var words = mime.WordDecoder{CharsetReader: charsetReader}

// charsetReader knows the charsets that browsers know, which take one name for another as mail programs do. What is in
// none of them is taken as it is: what it has of ASCII is found.
func charsetReader(charset string, r io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(charset)
	if err != nil {
		return r, nil
	}
	return e.NewDecoder().Reader(r), nil
}

// decode makes a field's value readable: encoded words (RFC 2047), and raw bytes, which are UTF-8 or else taken for what most mail
// of the West had.
func decode(value string) string {
	if s, err := words.DecodeHeader(value); err == nil {
		value = s
	}
	if !utf8.ValidString(value) {
		value, _ = charmap.Windows1252.NewDecoder().String(value) // it decodes any byte
	}
	return value
}

// fold makes texts comparable: no case, one form of each letter with accents, one space where there is white space.
func fold(s string) string {
	return strings.Join(strings.Fields(norm.NFKC.String(cases.Fold().String(s))), " ")
}
