package truth

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestFixtures reads the truth files of real servers, in both of their shapes.
func TestFixtures(t *testing.T) {
	root := os.Getenv("CYRUS_FIXTURES")
	if root == "" {
		t.Fatal("CYRUS_FIXTURES is not set")
	}
	for path, want := range map[string]struct {
		user              string
		folders, messages int
		sep               string
		subscribed        int
	}{
		"cyrus36/default/truth.json":         {"alice", 7, 35, ".", 2},
		"cyrus36/altns-hashed/truth.json":    {"alice", 8, 35, "/", 2},
		"cyrus36/multi-partition/truth.json": {"jane.doe", 6, 21, "/", 2},
		"cyrus313/truth/run2.json":           {"brong", 13, 299, "/", 7},
	} {
		tr, err := Load(filepath.Join(root, path))
		if err != nil {
			t.Error(err)
			continue
		}
		u := tr.Users[want.user]
		n := 0
		for name, f := range u.Folders {
			if f.UniqueID == "" || f.UIDValidity == 0 {
				t.Errorf("%s: %s: %+v", path, name, f)
			}
			for _, m := range f.Messages {
				n++
				if m.UID == 0 || m.Size == 0 || len(m.SHA1) != 40 || m.Flags == nil {
					t.Errorf("%s: %s: %+v", path, name, m)
				}
			}
		}
		if len(u.Folders) != want.folders || n != want.messages || tr.Sep != want.sep || len(u.Subscribed) != want.subscribed {
			t.Errorf("%s: %d folders, %d messages, separator %q, subscribed %q", path, len(u.Folders), n, tr.Sep, u.Subscribed)
		}
		b, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		again := new(Truth)
		if err := json.Unmarshal(b, again); err != nil || !reflect.DeepEqual(tr, again) {
			t.Errorf("%s: differs after a round trip: %v", path, err)
		}
	}
}
