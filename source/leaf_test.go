package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"backupfs/internal/cyruslab"
)

// TestLeaf: where the file system counts the folders in a folder, one in which none stands is not listed, and its messages cost nothing. It is
// found all the same, and so is each folder in another.
func TestLeaf(t *testing.T) {
	root, lists := t.TempDir(), map[string]bool{}
	cyruslab.Must(t, unix.Mount("tmpfs", root, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { cyruslab.Must(t, unix.Unmount(root, 0)) })
	conf := filepath.Join(root, "imapd.conf")
	cyruslab.Must(t, os.Mkdir(filepath.Join(root, "spool"), 0o700),
		os.WriteFile(conf, []byte("configdirectory: "+root+"\ndefaultpartition: default\npartition-default: "+root+"/spool\n"), 0o600))
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK)
	cyruslab.Must(t, err)
	defer unix.Close(watch)
	names := map[int32]string{}
	for _, dir := range []string{"user/alice", "user/alice/Work", "user/alice/Work/Old", "user/alice/Sent"} {
		path := filepath.Join(root, "spool", dir)
		cyruslab.Must(t, os.MkdirAll(path, 0o700), os.WriteFile(filepath.Join(path, headerFile), nil, 0o600), os.WriteFile(filepath.Join(path, "1."), nil, 0o600))
		wd, err := unix.InotifyAddWatch(watch, path, unix.IN_OPEN|unix.IN_ONLYDIR)
		cyruslab.Must(t, err)
		names[int32(wd)] = dir
	}
	l, err := OpenLocal(t.Context(), LocalOptions{ConfigPath: conf, MboxlistCommand: NoMboxlist})
	cyruslab.Must(t, err)
	boxes, problems, err := l.walk(t.Context())
	cyruslab.Must(t, err)
	var found []string
	for _, b := range boxes {
		found = append(found, string(b.Name))
	}
	slices.Sort(found)
	if want := []string{"user.alice", "user.alice.Sent", "user.alice.Work", "user.alice.Work.Old"}; !slices.Equal(found, want) || len(problems) > 0 {
		t.Errorf("found %q, problems %v", found, problems)
	}
	events := make([]byte, 64<<10)
	n, err := unix.Read(watch, events)
	cyruslab.Must(t, err)
	for at := 0; at < n; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&events[at]))
		// A folder that is watched, and one in it, is opened to be listed.
		if e.Mask&unix.IN_ISDIR != 0 && e.Len == 0 {
			lists[names[e.Wd]] = true
		}
		at += unix.SizeofInotifyEvent + int(e.Len)
	}
	if len(lists) != 2 || !lists["user/alice"] || !lists["user/alice/Work"] {
		t.Errorf("listed: %v", lists)
	}
}
