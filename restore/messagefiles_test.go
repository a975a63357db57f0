package restore

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/lock"
)

// TestMessageFiles has more written than the batches hold at a time, with messages that no batch holds and some that are damaged: each file
// is its message, with its date and owner, and of those that could not be had there is none.
func TestMessageFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "user", "alice")
	w := mustOpen(t, dir)
	rng := rand.New(rand.NewPCG(1, 1))
	var messages []*Message
	var bodies [][]byte
	for n := range 400 {
		size := rng.IntN(8000)
		if n%90 == 50 {
			size += bufferBytes - 3000 // one more or less than a batch holds
		}
		m, body := aMessage(rng, size)
		messages, bodies = append(messages, m), append(bodies, body)
		if n%7 == 0 {
			m.Record.GUID[3] ^= 1
		}
	}
	for n, m := range messages {
		err := w.put(fmt.Sprint(n, "."), m)
		if damaged := n%7 == 0; damaged != errors.Is(err, archive.ErrDamaged) || !damaged && err != nil {
			t.Fatal(n, err)
		}
	}
	if err := errors.Join(w.wait(), w.close()); err != nil {
		t.Fatal(err)
	}
	for n, m := range messages {
		path := filepath.Join(dir, fmt.Sprint(n, "."))
		b, err := os.ReadFile(path)
		if n%7 == 0 {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%d is there: %v", n, err)
			}
			continue
		}
		st, statErr := os.Stat(path)
		if errors.Join(err, statErr) != nil || !bytes.Equal(b, bodies[n]) || !st.ModTime().Equal(m.Date()) || st.Mode() != 0o600 {
			t.Fatalf("%d: %v, %v; %d bytes", n, errors.Join(err, statErr), st, len(b))
		}
	}
}

// TestMessageFileInTheWay: a file that holds the message already is taken; another one stays, and nothing more is written.
func TestMessageFileInTheWay(t *testing.T) {
	dir := t.TempDir()
	m, body := aMessage(rand.New(rand.NewPCG(1, 2)), 3000)
	mustWrite(t, filepath.Join(dir, "1."), body)
	mustWrite(t, filepath.Join(dir, "2."), []byte("mine"))
	w := mustOpen(t, dir)
	if err := errors.Join(w.put("1.", m), w.wait(), w.close()); err != nil {
		t.Error(err)
	}
	w = mustOpen(t, dir)
	if err := w.put("2.", m); err != nil {
		t.Error(err)
	}
	w.hand()
	<-w.failed.Done()
	if err := w.put("3.", m); !errors.Is(err, ErrBroken) || !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	_ = w.close()
	b, err := os.ReadFile(filepath.Join(dir, "2."))
	if err != nil || string(b) != "mine" || !absent(filepath.Join(dir, "3.")) {
		t.Errorf("%q, %v", b, err)
	}
}

// TestSweep: what a killed process left is taken away, what a living one is about to merge is not.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	left, alive, other := filepath.Join(dir, "backupfs-X-0.tmp"), filepath.Join(dir, unmergedName(0)), filepath.Join(dir, "1.")
	mustWrite(t, left, nil)
	mustWrite(t, other, nil)
	first := mustOpen(t, dir)
	mustSweep(t, first)
	if !absent(left) {
		t.Errorf("%s is there", left)
	}
	mustWrite(t, alive, nil)
	second := mustOpen(t, dir)
	mustSweep(t, second)
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	third := mustOpen(t, dir)
	mustSweep(t, third)
	if absent(alive) {
		t.Errorf("%s is gone", alive)
	}
	if err := errors.Join(second.close(), third.close()); err != nil {
		t.Fatal(err)
	}
	fourth := mustOpen(t, dir)
	mustSweep(t, fourth)
	if !absent(alive) || absent(other) {
		t.Error("it took the wrong ones")
	}
	_ = fourth.close()
}

func mustOpen(t *testing.T, dir string) *messageFiles {
	t.Helper()
	s := &Spool{owner: lock.Owner{UID: os.Getuid(), GID: os.Getgid()}}
	w, err := s.messageFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustSweep(t *testing.T, w *messageFiles) {
	t.Helper()
	if err := w.sweep(isUnmerged); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func aMessage(rng *rand.Rand, size int) (*Message, []byte) {
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	r := cyrus.Record{GUID: cyrus.GUID(sha1.Sum(body)), Size: uint64(size), InternalDate: 1254000000 + int64(rng.IntN(1000)), InternalNsec: 5000}
	return &Message{Record: r, Body: bytes.NewReader(body), buffer: make([]byte, 4096)}, body
}
