package cyruslab

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// List is a parsed response, or a list in parentheses within one. Elements are string (atoms, quoted strings and literals
// alike) and List.
type List []any

// Str returns element i, empty if it is no string.
func (l List) Str(i int) string {
	if i < 0 || i >= len(l) {
		return ""
	}
	s, _ := l[i].(string)
	return s
}

// Sub returns element i, nil if it is no list.
func (l List) Sub(i int) List {
	if i < 0 || i >= len(l) {
		return nil
	}
	s, _ := l[i].(List)
	return s
}

// After returns the index of what follows the atom key, -1 if it is not there.
func (l List) After(key string) int {
	for i := range l {
		if strings.EqualFold(l.Str(i), key) {
			return i + 1
		}
	}
	return -1
}

// Strings returns the elements that are strings.
func (l List) Strings() []string {
	all := []string{}
	for _, e := range l {
		if s, ok := e.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// response reads one response line, with its literals.
func (c *Client) response() (List, error) {
	var l List
	for {
		// What follows these is text for people, in which parentheses need not match.
		if len(l) == 2 {
			switch l.Str(1) {
			case "OK", "NO", "BAD", "BYE", "PREAUTH":
				text, err := c.r.ReadString('\n')
				return append(l, strings.TrimRight(text, "\r\n")), err
			}
		}
		v, end, err := c.value()
		if err != nil {
			return nil, err
		}
		switch end {
		case '\n':
			return l, nil
		case ')':
			return nil, fmt.Errorf("response %v: unexpected )", l)
		}
		l = append(l, v)
	}
}

// value reads one value; end is ')' or '\n' if there was that instead.
func (c *Client) value() (v any, end byte, err error) {
	b, err := c.r.ReadByte()
	for err == nil && (b == ' ' || b == '\r') {
		b, err = c.r.ReadByte()
	}
	if err != nil {
		return nil, 0, err
	}
	switch b {
	case '\n', ')':
		return nil, b, nil
	case '(':
		l := List{}
		for {
			v, end, err := c.value()
			if err != nil || end == ')' {
				return l, 0, err
			}
			if end == '\n' {
				return nil, 0, fmt.Errorf("response: list %v is not closed", l)
			}
			l = append(l, v)
		}
	case '"':
		s, err := c.quoted()
		return s, 0, err
	case '{':
		s, err := c.literal()
		return s, 0, err
	}
	if err := c.r.UnreadByte(); err != nil {
		return nil, 0, err
	}
	s, err := c.atom()
	return s, 0, err
}

func (c *Client) quoted() (string, error) {
	var s strings.Builder
	for {
		b, err := c.r.ReadByte()
		if err != nil {
			return "", err
		}
		switch b {
		case '"':
			return s.String(), nil
		case '\\':
			if b, err = c.r.ReadByte(); err != nil {
				return "", err
			}
		}
		s.WriteByte(b)
	}
}

func (c *Client) literal() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(line, "}\r\n"))
	if err != nil || n < 0 {
		return "", fmt.Errorf("response: literal {%q", line)
	}
	var s strings.Builder
	_, err = io.CopyN(&s, c.r, int64(n))
	return s.String(), err
}

// atom reads up to a space, a parenthesis or the end of the line; what is in brackets, as in BODY[], belongs to it.
func (c *Client) atom() (string, error) {
	var s strings.Builder
	for depth := 0; ; {
		b, err := c.r.ReadByte()
		if err != nil {
			return "", err
		}
		switch b {
		case '[':
			depth++
		case ']':
			depth--
		case ' ', '(', ')':
			if depth > 0 {
				break
			}
			return s.String(), c.r.UnreadByte()
		case '\r', '\n':
			return s.String(), c.r.UnreadByte()
		}
		s.WriteByte(b)
	}
}
