package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"backupfs/index/indextest"
	"backupfs/internal/store"
)

// TestTerminal: whatever names there are in a store, and in what the program was called with, neither its log nor an error has what a terminal obeys.
func TestTerminal(t *testing.T) {
	if cmd := newRoot(new(int)); len(cmd.Commands()) > 0 {
		t.Errorf("%s: it is not said what of others its commands print", cmd.Name())
	}
	st, err := store.Init(filepath.Join(t.TempDir(), "store")) // damaged as it will be, not one that a clean-up checks
	if err != nil {
		t.Fatal(err)
	}
	x := &fixture{t, st, map[string]*indextest.Writer{}}
	nasty := strings.Join(indextest.Nasty, "")
	for _, user := range append(indextest.Nasty, nasty) {
		r := indextest.Run{User: user, Begun: mustDay("2009-09-28T12:00")}
		for i, name := range append(indextest.Nasty, nasty) {
			r.Folders = append(r.Folders, indextest.Folder{UniqueID: string(rune('a'+i)) + name, Name: "INBOX." + name, Messages: []indextest.Message{{UID: 1, Body: "one" + name}}})
		}
		x.run(r)
		path := x.writers[user].Path()
		b := []byte(mustRead(t, path))
		b[len(b)/5] ^= 0x55
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := x.mount("flags,expunged")
	// That much of it cannot be read is what is looked for.
	_ = exec.Command("sh", "-c", `find "$1" -type f -exec cat {} + >/dev/null 2>&1; find "$1" -name '*.' -exec getfattr -d {} + >/dev/null 2>&1`, "-", m.dir).Run()
	m.end(syscall.SIGTERM)
	said := map[string]string{"log": m.log.String()}
	for _, args := range [][]string{{nasty, t.TempDir()}, {x.store.Root, filepath.Join(t.TempDir(), nasty)}, {"-o", nasty, x.store.Root, t.TempDir()}, {"--" + nasty}, {nasty}} {
		out, err := exec.Command(program, args...).CombinedOutput()
		if exit := new(exec.ExitError); !errors.As(err, &exit) {
			t.Errorf("%q: %v", args, err)
		}
		said[strings.Join(args, " ")] = string(out)
	}
	for what, text := range said {
		if err := indextest.Obeyed([]byte(text)); err != nil {
			t.Errorf("%q: %v", what, err)
		}
		if what != nasty && !strings.Contains(text, `\x1b[31m`) {
			t.Errorf("%q: it does not name what it is about:\n%s", what, text)
		}
	}
}
