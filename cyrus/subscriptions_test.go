package cyrus

import (
	"errors"
	"maps"
	"slices"
	"testing"
)

// TestSubscriptions: the databases of two versions, as servers wrote them.
func TestSubscriptions(t *testing.T) {
	for b, want := range map[string]map[string]string{ // by key: the user's own folder, or nothing
		"\x1fVER\x1f\t2\nNINBOX\t\nNINBOX\x1fx y\x1fv1.2\t\nNuser\x1fb\t\n": {"NINBOX": "INBOX", "NINBOX\x1fx y\x1fv1.2": "INBOX.x y.v1^2", "Nuser\x1fb": ""},
		"user.alice\t\nuser.alice.v1^2\t\nuser.bob.Work\t\ninfo\t\n":        {"user.alice": "INBOX", "user.alice.v1^2": "INBOX.v1^2", "user.bob.Work": "", "info": ""},
		"": {},
	} {
		records, err := UserRecords([]byte(b))
		version2 := records[SubVersionKey] == "2"
		delete(records, SubVersionKey)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(records)), slices.Sorted(maps.Keys(want))) {
			t.Errorf("%q: %q, %v", b, records, err)
		}
		for key := range records {
			archived, own := Subscribed(key, "alice")
			if own != (want[key] != "") || own && archived != want[key] {
				t.Errorf("%q is %q, %v", key, archived, own)
			}
			if own {
				levels := TreePath(archived)[1:]
				if back := SubscriptionKey("user.alice"+Name(archived[len("INBOX"):]), levels, version2); back != key {
					t.Errorf("%q became %q", key, back)
				}
			}
		}
	}
	for key, want := range map[string]Name{"Nuser\x1fb": "user.b", "Nexample.org\x1duser\x1fj.d\x1fx y": "example.org!user.j^d.x y", "Ninfo\x1fv1.2": "info.v1^2"} {
		got := OtherSubscribed(key, true)
		if got != want || OtherSubscriptionKey(got, true) != key || OtherSubscribed(OtherSubscriptionKey(got, false), false) != want {
			t.Errorf("%q is of %q, whose key is %q", key, got, OtherSubscriptionKey(got, true))
		}
	}
	for _, bad := range []string{"no tab\n", "cut\t", "\xa1\x02\x8b\x0dother file"} {
		if got, err := UserRecords([]byte(bad)); !errors.Is(err, ErrDatabase) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
