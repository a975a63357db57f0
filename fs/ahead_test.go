package fs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// walked is a kernel that keeps what it is handed, and a program that reads files of one listing.
type walked struct {
	files []file
	walk  walk
	has   []bool // the kernel has it
	asks  int
	most  int64 // bytes that were handed over in front of the reader
}

func newWalked(files []file) *walked {
	return &walked{files: files, walk: newWalk(), has: make([]bool, len(files))}
}

func (w *walked) read(t *rapid.T, i int) {
	if w.has[i] {
		return
	}
	w.has[i] = true
	w.asks++
	if !w.walk.asked(i) {
		return
	}
	for first := true; ; first = false {
		from, to, mark, ok := w.walk.next(w.files, first)
		if !ok {
			break
		}
		if mark < from || mark >= to {
			t.Fatalf("mark %d of the window from %d to %d", mark, from, to)
		}
		var ahead int64
		for k := from; k < to; k++ {
			if k != mark && !w.walk.skip(k) {
				w.has[k] = true
			}
			ahead += w.files[k].size
		}
		w.most = max(w.most, ahead)
	}
	if w.walk.busy {
		t.Fatal("nobody hands over, and the walk believes so")
	}
}

func someFiles() *rapid.Generator[[]file] {
	return rapid.Custom(func(t *rapid.T) []file {
		files := make([]file, rapid.IntRange(1, 3000).Draw(t, "files"))
		most := rapid.Int64Range(0, 200<<10).Draw(t, "most")
		for i := range files {
			files[i].size = int64(i) * 7919 % (most + 1)
		}
		return files
	})
}

// TestWalkInOrder: who reads a folder from its beginning is asked for few of its files, and never far ahead of; who looks at a file
// here and there gets nothing else.
func TestWalkInOrder(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		files := someFiles().Draw(t, "files")
		var bytes, largest int64
		for _, f := range files {
			bytes, largest = bytes+f.size, max(largest, f.size)
		}
		w := newWalked(files)
		for i := range files {
			w.read(t, i)
		}
		// Three to begin with, one for each window; windows end with a file.
		if most := 6 + int(bytes/maxWindow); w.asks > most {
			t.Errorf("%d of %d files were asked for, of %d bytes; want at most %d", w.asks, len(files), bytes, most)
		}
		if w.most > maxWindow+largest {
			t.Errorf("%d bytes were handed over at once", w.most)
		}

		w = newWalked(files)
		for i := len(files) - 1; i > 0; i -= 2 {
			w.read(t, i)
		}
		if w.most > 0 {
			t.Errorf("%d bytes were handed over to one who reads backward", w.most)
		}
	})
}

// TestWalkAnyOrder: whatever is read in whatever order, by several, what the kernel loses and hands back: no window is wrong, and a walk that
// ended can begin anew.
func TestWalkAnyOrder(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		w := newWalked(someFiles().Draw(t, "files"))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				w.read(t, rapid.IntRange(0, len(w.files)-1).Draw(t, "file"))
			case 1:
				from := rapid.IntRange(0, len(w.files)-1).Draw(t, "from")
				for i := from; i < len(w.files); i++ {
					w.read(t, i)
				}
			case 2:
				clear(w.has) // the page cache is dropped
			case 3:
				w.walk.stop()
			}
		}
		clear(w.has)
		w.asks = 0
		for i := range w.files {
			w.read(t, i)
		}
		if len(w.files) > 100 && w.asks > len(w.files)/2 {
			t.Errorf("%d of %d files were asked for after all that", w.asks, len(w.files))
		}
	})
}

// TestGoOn: when all of a folder is handed over, what the next one begins with is inflated, so that nothing is read from the archive for it any
// more, and not all of it; its first window is as large as the last one here was.
func TestGoOn(t *testing.T) {
	f := newFS(t)
	body := strings.Repeat("x", archive.MemberSize*3/4)
	run := indextest.Run{Begun: day}
	for _, name := range []string{"INBOX.a", "INBOX.b"} {
		folder := indextest.Folder{UniqueID: name, Name: name}
		for uid := range uint32(4) {
			folder.Messages = append(folder.Messages, indextest.Message{UID: uid + 1, Body: fmt.Sprint(name, uid, body), Date: 1254000000})
		}
		run.Folders = append(run.Folders, folder)
	}
	path, err := mustArchive(t, f, "brong", run).Archive()
	if err != nil {
		t.Fatal(err)
	}
	ids := [2]uint64{mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "a").NodeId, mustLookup(t, f, rootID, "brong", "2009-09-28", "INBOX", "b").NodeId}
	n, _ := decode(ids[0])
	u, err := f.users.acquire(newRequest(nil), n.slot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.users.release(u)
	l, err := f.listing(u, ids[0], n)
	if err != nil {
		t.Fatal(err)
	}
	const window = archive.MemberSize * 3 / 2
	f.goOn(u, l, window)

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	next, ok := f.listings.get(ids[1])
	if !ok {
		t.Fatal("the next folder is not listed")
	}
	var cached []bool
	for i, p := range next.files {
		tar, _ := next.tar(i)
		_, err := f.members.ReadAt(t.Context(), u.archive, u.known, make([]byte, min(p.size, 1000)), tar)
		cached = append(cached, err == nil)
	}
	if !cached[0] || !cached[1] || cached[len(cached)-1] {
		t.Errorf("of the next folder these are inflated: %v", cached)
	}
	if from, to, _, ok := next.walk.next(next.files, next.walk.asked(0)); !ok || next.walk.size != window || next.walk.first != 0 {
		t.Errorf("its first window is files %d to %d, of %d bytes", from, to, next.walk.size)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil { // newFS checks it
		t.Fatal(err)
	}
}

// TestWalkEnds: that all of a folder is handed over is told once for each time that it is.
func TestWalkEnds(t *testing.T) {
	files := make([]file, 100)
	for i := range files {
		files[i].size = 10 << 10
	}
	w := newWalked(files)
	for range 2 {
		var ended int
		for i := range files {
			w.read(nil, i)
			if size, ok := w.walk.ended(len(files)); ok {
				ended++
				if size < minWindow || size > maxWindow {
					t.Errorf("the last window had %d bytes", size)
				}
			}
		}
		if ended != 1 {
			t.Errorf("ended %d times", ended)
		}
		clear(w.has)
	}
}
