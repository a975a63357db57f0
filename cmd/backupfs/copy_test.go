package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"backupfs/index/indextest"
)

// TestCopyOfAllDates: a message has one inode in all folders and dates, and one link. Programs that look for hard links copy it each
// time nevertheless, and drop none.
func TestCopyOfAllDates(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	copied := message(77, 1, 2000) // as INBOX/1.
	runs[2].Folders = append(runs[2].Folders, indextest.Folder{UniqueID: "id-copy", Name: "INBOX.Copies", Messages: []indextest.Message{copied}})
	for _, r := range runs {
		x.run(r)
	}
	m := x.mount("uid=12,gid=34")
	inodes, links := map[uint64]int{}, uint64(0)
	err := filepath.WalkDir(m.path("brong"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		inodes[st.Ino]++
		links = max(links, st.Nlink)
		return nil
	})
	if err != nil || links != 1 {
		t.Errorf("a file has %d links, %v", links, err)
	}
	most := 0
	for _, n := range inodes {
		most = max(most, n)
	}
	if most < 4 { // so that it is tested at all
		t.Errorf("no inode is there more than %d times", most)
	}

	out := t.TempDir()
	output(t, "cp", "-a", m.path("brong"), filepath.Join(out, "cp"))
	output(t, "rsync", "-aH", m.path("brong")+"/", filepath.Join(out, "rsync"))
	output(t, "sh", "-c", `mkdir "$1" && tar -C "$0" -cf - . | tar -C "$1" --warning=no-timestamp -xpf -`, m.path("brong"), filepath.Join(out, "tar"))
	for _, program := range []string{"cp", "rsync", "tar"} {
		for i, date := range []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"} {
			mustMatchCopy(t, filepath.Join(out, program, date), model(t, runs[i], false))
		}
	}
	if log := m.log.String(); log != "" {
		t.Errorf("the log:\n%s", log)
	}
	// A second rsync finds nothing to do; by contents neither.
	for _, flags := range []string{"-aHni", "-aHnic"} {
		if got := output(t, "rsync", flags, m.path("brong")+"/", filepath.Join(out, "rsync")+"/"); strings.TrimSpace(got) != "" {
			t.Errorf("rsync %s copies again\n%s", flags, got)
		}
	}
}
