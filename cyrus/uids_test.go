package cyrus

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

// TestUIDSet: a set is what it was made of, also when it was a word.
func TestUIDSet(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		uids := rapid.SliceOf(rapid.Uint32Range(1, 40)).Draw(t, "uids")
		set := NewUIDSet(uids)
		open := rapid.Uint32Range(0, 50).Draw(t, "open")
		if open > 0 {
			set = set.Above(max(open, slices.Max(append(uids, 0))))
		}
		word := set.String()
		if word == "" {
			return
		}
		read, err := ParseUIDSet(word)
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
	for _, word := range []string{"", "0", "1,", "1,,2", "1:", ":1", "0:*", "4294967296", "-1", "1:2:3", "a"} {
		if set, err := ParseUIDSet(word); err == nil {
			t.Errorf("%q is read as %v", word, set)
		}
	}
	if got := NewUIDSet([]uint32{5, 1, 2, 3, 3}).Above(9).String(); got != "1:3,5,10:*" {
		t.Error(got)
	}
	for word, want := range map[string]string{"9,3:5,4": "3:5,9", "5:3": "3:5", "1:3,4": "1:4", "*:7,9,6": "6,7:*", "7:*,3:*": "3:*", "*": "4294967295:*", "4294967295,1": "1,4294967295", "5,1:9": "1:9"} {
		if set, err := ParseUIDSet(word); err != nil || set.String() != want {
			t.Errorf("%q is read as %v, %v, want %s", word, set, err, want)
		}
	}
}
