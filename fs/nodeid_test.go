package fs

import (
	"testing"

	"pgregory.net/rapid"

	"backupfs/internal/testenv"
)

// anyNode draws nodes of a kind, near the bounds of their fields, on both sides.
func anyNode(t *rapid.T, k kind) node {
	near := func(bits int) *rapid.Generator[int64] {
		return rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-1, 3), rapid.Int64Range(1<<bits-2, 1<<bits+1))
	}
	n := node{
		kind: k,
		slot: uint32(max(0, near(slotBits).Draw(t, "slot"))),
		run:  int(near(runBits).Draw(t, "run")),
		view: view(rapid.IntRange(0, 1<<viewBits).Draw(t, "view")),
		id:   rapid.OneOf(near(idBits), near(rowBits), near(payloadBits)).Draw(t, "id"),
	}
	if rapid.Bool().Draw(t, "block") {
		n.id *= blockSize
	}
	return n
}

// TestNodeID: what fits comes back as it was, so no two nodes share an id; what does not fit is refused.
func TestNodeID(t *testing.T) {
	for k := kindRoot; k <= kindMessage+2; k++ {
		// Not counted among the drawn ones: a hundred draws of a kind that fits only as zero may hold none.
		if _, fits := (node{kind: k}).encode(); fits != (k <= kindMessage) {
			t.Errorf("a node of kind %d fits: %v", k, fits)
		}
		testenv.Check(t, func(t *rapid.T) {
			n := anyNode(t, k)
			id, ok := n.encode()
			if !ok {
				return
			}
			back, ok := decode(id)
			if !ok || back != n {
				t.Fatalf("%+v became %#x, and that %+v, %v", n, id, back, ok)
			}
			if id>>63 != 0 || id == 0 {
				t.Fatalf("%+v has the id %#x", n, id)
			}
		})
	}
}

// TestDecodeAny: any number is either refused or an id that encode makes.
func TestDecodeAny(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 9<<60)).Draw(t, "id")
		if n, ok := decode(id); ok {
			if back, ok := n.encode(); !ok || back != id {
				t.Fatalf("%#x became %+v, and that %#x, %v", id, n, back, ok)
			}
		}
	})
	for _, id := range []uint64{0, 8 << 60, ^uint64(0)} {
		if n, ok := decode(id); ok {
			t.Errorf("%#x passes for %+v", id, n)
		}
	}
}

func TestUserInode(t *testing.T) {
	seen := map[uint64]string{rootID: "the root"}
	for _, name := range []string{"brong", "cassandane", "brong@example.com", "@shared", ""} {
		ino := userInode(name)
		if other, ok := seen[ino]; ok || ino>>60 != uint64(kindUser) {
			t.Errorf("%q has the inode %#x (also: %q)", name, ino, other)
		}
		seen[ino] = name
	}
}
