package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/source"
)

// A day changes a linked spool and not the one it was linked from; in both the disk holds what the indexes say.
func TestDay(t *testing.T) {
	dir := t.TempDir()
	first, err := haveSpool(filepath.Join(dir, "first"), 2, 400)
	if err != nil {
		t.Fatal(err)
	}
	before := mustList(t, first)
	second, err := first.link(filepath.Join(dir, "second"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := second.day()
	if err != nil {
		t.Fatal(err)
	}
	again, err := haveSpool(filepath.Join(dir, "first"), 2, 400)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for path, size := range mustList(t, again) {
		if before[path] != size {
			t.Errorf("%s has %d bytes in the first spool, not %d", path, size, before[path])
		}
	}
	after := mustList(t, second)
	for path, size := range after {
		if before[path] == size {
			kept++
		}
	}
	if n != 4 || len(before) != 400 || len(after) != 400 || kept != 396 {
		t.Errorf("of %d messages %d were to change; there are %d, %d of them as before", len(before), n, len(after), kept)
	}
}

// A spool is one that backupd takes for a server's, of which all can be known: nothing that it asks for is missing.
func TestSpoolIsAServers(t *testing.T) {
	s, err := haveSpool(t.TempDir(), 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: s.conf})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Metadata(t.Context()); err != nil {
		t.Error(err)
	}
}

// mustList is the sizes of the messages that the disk holds, which must be those that the indexes tell.
func mustList(t *testing.T, s *spool) map[string]uint64 {
	t.Helper()
	list, told := map[string]uint64{}, map[string]uint64{}
	var bytes int64
	for _, box := range s.boxes {
		rel, err := filepath.Rel(s.root, box.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range box.ix.Records {
			told[filepath.Join(rel, fmt.Sprintf("%d.", r.UID))] = r.Size
		}
		entries, err := os.ReadDir(box.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".") {
				continue
			}
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(rel, e.Name())
			list[path] = uint64(info.Size())
			bytes += info.Size()
			if list[path] != told[path] {
				t.Errorf("%s has %d bytes, the index says %d", path, list[path], told[path])
			}
		}
	}
	if len(list) != len(told) || len(list) != s.messages || bytes != s.bytes {
		t.Errorf("%d messages of %d bytes; %d in the indexes; the spool says %d and %d", len(list), bytes, len(told), s.messages, s.bytes)
	}
	return list
}
