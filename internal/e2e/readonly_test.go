package e2e

import (
	"os"
	"testing"
)

// TestReadOnlyStore: a store on a file system that is read-only shows what it showed before, with its index and without.
func TestReadOnlyStore(t *testing.T) {
	x := newTorture(t)
	x.backup(1)
	tree := func() string {
		dir, unmount := mustMount(t, x.store())
		defer unmount()
		return mustTree(t, dir)
	}
	want := tree()
	for _, name := range []string{"with its index", "without"} {
		t.Run(name, func(t *testing.T) {
			readOnly(t, x.store())
			if got := tree(); got != want {
				t.Errorf("it showed\n%s\nand read-only\n%s", want, got)
			}
		})
		if err := os.RemoveAll(x.user.Index()); err != nil {
			t.Fatal(err)
		}
	}
}
