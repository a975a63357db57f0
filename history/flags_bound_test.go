package history

import (
	"strings"
	"testing"

	"backupfs/index"
)

// TestFlagFilesTooLarge: an index that says that a folder's file is larger than anyone takes into memory has nothing read.
func TestFlagFilesTooLarge(t *testing.T) {
	for _, name := range []string{"cyrus.index", "cyrus.header"} {
		files := FlagFilesOf([]index.Meta{{Name: "cyrus.index", Size: 1}, {Name: name, Size: index.MaxMeta + 1}})
		_, err := files.Read(func(m index.Meta) ([]byte, error) {
			t.Errorf("%s is read", m.Name)
			return nil, nil
		})
		if err == nil || !strings.Contains(err.Error(), name+": 1073741825 bytes are too many to be read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
