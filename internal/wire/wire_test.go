package wire

import (
	"slices"
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

// TestUIDs: a set is what it was made of, also when it was a word.
func TestUIDs(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		uids := rapid.SliceOf(rapid.Uint32Range(1, 40)).Draw(t, "uids")
		set := NewUIDs(uids)
		open := rapid.Uint32Range(0, 50).Draw(t, "open")
		if open > 0 {
			set = set.Above(max(open, slices.Max(append(uids, 0))))
		}
		word := set.String()
		read, err := ParseUIDs(word)
		if err != nil || read.String() != word {
			t.Fatalf("%v: %q is read as %q, %v", uids, word, read, err)
		}
		for uid := range uint32(100) {
			above := open > 0 && uid > max(open, slices.Max(append(uids, 0)))
			if want := slices.Contains(uids, uid) || above; set.Has(uid) != want || read.Has(uid) != want || set.Open(uid) != above {
				t.Fatalf("%q: has %d: %v", word, uid, !want)
			}
		}
	})
	for _, word := range []string{"", "0", "1,", "2,1", "1:3,3", "3:2", "1:*,5", "*", "4294967296", "-1", "1:2:3", "a"} {
		if set, err := ParseUIDs(word); err == nil {
			t.Errorf("%q is read as %v", word, set)
		}
	}
	if got := NewUIDs([]uint32{5, 1, 2, 3, 3}).Above(9).String(); got != "1:3,5,10:*" {
		t.Error(got)
	}
}
