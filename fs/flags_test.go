package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index/indextest"
)

// TestFlagsReadOnce: who asks for one message's flags has asked for all of the folder, and of folders that are the same on other dates.
func TestFlagsReadOnce(t *testing.T) {
	f := newFS(t)
	f.opts.Flags = true
	folder := indextest.Folder{UniqueID: "id", Name: "INBOX"}
	for i := range 3 {
		folder.Messages = append(folder.Messages, indextest.Message{UID: uint32(i + 1), Body: "x", Date: 1254000000, Flags: cyrus.FlagSeen})
	}
	u := mustArchive(t, f, "brong", indextest.Run{Begun: day, Folders: []indextest.Folder{folder}},
		indextest.Run{Begun: day.AddDate(0, 0, 1), Folders: []indextest.Folder{folder}, Seen: "seen"})
	flags := func(date string, uid int) (string, fuse.Status) {
		return getXAttr(f, mustLookup(t, f, rootID, "brong", date, "INBOX", fmt.Sprintf("%d.", uid)).NodeId, "user.cyrus.flags")
	}
	if got, st := flags("2009-09-28", 1); got != `\Seen` || st != fuse.OK {
		t.Fatal(got, st)
	}
	// From now on nothing can be read.
	archives, err := filepath.Glob(filepath.Join(u.Dir, "backupdata-*"))
	if err != nil || len(archives) != 1 {
		t.Fatal(archives, err)
	}
	whole, err := os.ReadFile(archives[0])
	if err == nil {
		err = os.WriteFile(archives[0], make([]byte, len(whole)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(archives[0], whole, 0o600); err != nil {
			t.Error(err)
		}
	}()
	f.members = archive.NewCache(1 << 20)
	if _, st := read(f, mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "2.").NodeId, 1, 0); st != fuse.EIO {
		t.Fatalf("what is no more can be read: %v", st)
	}
	for _, date := range []string{"2009-09-28", "2009-09-29"} {
		for uid := 1; uid <= 3; uid++ {
			if got, st := flags(date, uid); got != `\Seen` || st != fuse.OK {
				t.Errorf("%s, %d.: %q, %v", date, uid, got, st)
			}
		}
	}
}

func TestFlagList(t *testing.T) {
	for want, flags := range map[string][]string{
		"":                       nil,
		`\Answered \Seen $A B a`: {"a", `\Seen`, "B", "$A", `\Answered`},
		`\Seen userflag:3`:       {"userflag:3", `\Seen`},
	} {
		if got := flagList(flags); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
