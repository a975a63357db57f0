package wire

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

func TestDecode(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(t, "name"))
		word := Encode(s)
		if got := Decode(word); got != s {
			t.Fatalf("%q is encoded as %q, which is decoded to %q", s, word, got)
		}
		if strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%") != "" {
			t.Fatalf("%q is no word", word)
		}
	})
	for in, want := range map[string]string{
		"R%26AOk-": "R&AOk-", "%e9%E9": "\xe9\xe9", "50%": "50%", "5%2": "5%2", "%zzx": "%x", "%4gx": "%x", "a%00b": "a", "a b": "a b",
	} {
		if got := Decode(in); got != want {
			t.Errorf("Decode(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Echo("F%\xe9~"); got != "F%%E9~" {
		t.Errorf("echo: %q", got)
	}
}
