package cyrus

import (
	"encoding/hex"
	"fmt"
)

// GUID is the SHA-1 of a message.
type GUID [20]byte

// String is 40 hex digits, lower case.
func (g GUID) String() string { return hex.EncodeToString(g[:]) }

// IsZero: the server knew no digest.
func (g GUID) IsZero() bool { return g == GUID{} }

// ParseGUID reads 40 hex digits.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	if len(s) != 2*len(g) {
		return g, fmt.Errorf("%q: not 40 hex digits", s)
	}
	if _, err := hex.Decode(g[:], []byte(s)); err != nil {
		return GUID{}, fmt.Errorf("%q: %w", s, err)
	}
	return g, nil
}
