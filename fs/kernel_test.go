package fs

import (
	"fmt"
	"maps"
	"os/exec"
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/index/indextest"
	"backupfs/internal/fusetest"
)

// counter counts what the kernel asks.
type counter struct {
	*FS
	mu    sync.Mutex
	asked map[string]int
}

func (c *counter) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[what]++
}

// take returns what was asked since the last take.
func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := maps.Clone(c.asked)
	clear(c.asked)
	return asked
}

func (c *counter) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	c.count("open")
	return c.FS.Open(cancel, in, out)
}
func (c *counter) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	c.count("opendir")
	return c.FS.OpenDir(cancel, in, out)
}
func (c *counter) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	c.count("flush")
	return c.FS.Flush(cancel, in)
}
func (c *counter) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	// What comes and goes is asked for again each second; how often depends on how fast the machine is.
	if n, ok := decode(h.NodeId); ok && (n.kind == kindRoot || n.kind == kindUser) {
		return c.FS.Lookup(cancel, h, name, out)
	}
	c.count("lookup")
	return c.FS.Lookup(cancel, h, name, out)
}
func (c *counter) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	c.count("readdir")
	return c.FS.ReadDir(cancel, in, out)
}
func (c *counter) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	c.count("readdirplus")
	return c.FS.ReadDirPlus(cancel, in, out)
}
func (c *counter) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	c.count("getattr")
	return c.FS.GetAttr(cancel, in, out)
}
func (c *counter) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	c.count("read")
	res, status := c.FS.Read(cancel, in, buf)
	// The reader is slower than what is done for him ahead, as on an idle machine; and he reads alone, so no page that is handed over
	// waits for this answer.
	_ = c.ahead.group.Wait()
	return res, status
}
func (c *counter) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	c.count("readlink")
	return c.FS.Readlink(cancel, h)
}

// TestKernelAsksOnce pins what makes the mount fast: no OPEN, OPENDIR or FLUSH after the first, no LOOKUP of what was listed, no READ of what
// was read, be it at another date.
func TestKernelAsksOnce(t *testing.T) {
	const n = 100
	f := newFS(t)
	folder := indextest.Folder{UniqueID: "id", Name: "INBOX"}
	for i := range n {
		folder.Messages = append(folder.Messages, indextest.Message{UID: uint32(i + 1), Body: fmt.Sprintf("message %d", i), Date: 1254000000})
	}
	day1 := indextest.Run{Begun: day, Folders: []indextest.Folder{folder}}
	day2 := indextest.Run{Begun: day.AddDate(0, 0, 1), Folders: []indextest.Folder{folder}}
	mustArchive(t, f, "brong", day1, day2)
	c := &counter{FS: f, asked: map[string]int{}}
	dir := fusetest.Mount(t, c, &fuse.MountOptions{Name: "backupfs", Options: []string{"default_permissions", "ro"}, EnableSymlinkCaching: true})
	cat := func(date string) map[string]int {
		t.Helper()
		out, err := exec.Command("sh", "-c", "cat "+dir+"/brong/"+date+"/INBOX/*. | wc -c").CombinedOutput()
		if err != nil || string(out) != "990\n" && string(out) != "990" {
			t.Fatalf("%s: %v, %s", date, err, out)
		}
		return c.take()
	}
	first := cat("2009-09-28")
	if first["open"] != 1 || first["opendir"] != 1 || first["flush"] > 1 || first["lookup"] > 1 || first["readdir"] > 0 {
		t.Errorf("a first walk asks %v", first)
	}
	// The kernel may drop a page when it likes, and did so once in some hundred walks; and a reader may get ahead of what is read ahead for
	// him. So of several walks one must be as it should be.
	one := func(what, date string, before func(), good func(asked map[string]int) bool) {
		t.Helper()
		var asked map[string]int
		for range 20 {
			before()
			c.take()
			if asked = cat(date); good(asked) {
				return
			}
		}
		t.Errorf("a walk %s asks %v", what, asked)
	}
	few := n / 10
	one("again", "2009-09-28", func() {}, func(asked map[string]int) bool {
		return asked["open"]+asked["opendir"]+asked["flush"]+asked["readdirplus"]+asked["readdir"]+asked["read"]+asked["lookup"] == 0 && asked["getattr"] <= few
	})
	forget := func() {
		t.Helper()
		script := "for f in " + dir + "/brong/2009-09-28/INBOX/*.; do dd if=$f iflag=nocache count=0 status=none; done"
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	reads := func(asked map[string]int) bool {
		return asked["lookup"]+asked["readdirplus"]+asked["readdir"] == 0 && asked["read"] > 0 && asked["read"] <= few
	}
	one("without a page", "2009-09-28", forget, reads)
	// Of a folder that is not remembered any more it still reads ahead.
	one("of a folder that is forgotten", "2009-09-28", func() {
		forget()
		f.listings.put(0, &listing{}, maxListed+1) // takes all the room
	}, reads)
	one("of another date", "latest", func() {}, func(asked map[string]int) bool {
		return asked["open"]+asked["opendir"]+asked["flush"]+asked["read"] == 0 && asked["getattr"] <= few && asked["lookup"] <= 1
	})
}
