package backup

import (
	"strings"
	"testing"
)

// TestUsableID: an id becomes a folder's name in the archive, so that nothing else may be in it than in those that Cyrus makes.
func TestUsableID(t *testing.T) {
	for _, id := range []string{"7f9c0a2e-6a55-4c0e-9c3e-0d6c1e3f7a11", "cn4cd8suhk9sjlrl1yr73xp9", "6b054a7000000001", "A_z-9", strings.Repeat("x", 80)} {
		if !usableID(id) {
			t.Errorf("%q is refused", id)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 81), "a/b", "a.b", "..", "a b", "a\n", "\na", "a\x00b", "é"} {
		if usableID(id) {
			t.Errorf("%q is taken", id)
		}
	}
}
