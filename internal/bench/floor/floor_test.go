package floor

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"backupfs/internal/compose"
	"backupfs/internal/fusetest"
)

// What is mounted is the tree, to the byte, while the files of its folders are handed over.
func TestTree(t *testing.T) {
	tree := mustTree(t)
	point, _ := mustMount(t, tree)
	const list = `cd "$1" && find . -printf '%P %y %m %n %s %T@\n' | sort`
	if want, got := mustRun(t, list, tree), mustRun(t, list, point); got != want {
		t.Errorf("listed are\n%s\nnot\n%s", got, want)
	}
	mustRun(t, `diff -r "$1" "$2"`, tree, point)
}

// Once the first file of a folder is read, the kernel asks for no other, but for the large one.
func TestHandOver(t *testing.T) {
	point, c := mustMount(t, mustTree(t))
	mustRun(t, `cd "$1/box" && ls && cat 0 1.`, point)
	if err := c.ahead.Wait(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, `find "$1/box" -maxdepth 1 -type f -exec cat {} + >/dev/null`, point)
	if asked, want := c.names(), []string{"1.", "2large"}; !slices.Equal(asked, want) {
		t.Errorf("the kernel asked for %q, not %q", asked, want)
	}
}

// mustRun is what a script for sh prints.
func mustRun(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %.1000s", script, err, out)
	}
	return string(out)
}

// mustTree makes a tree with all that a spool may have, and a folder that takes more than one request to list.
func mustTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	mail, clock := compose.New(1), time.Date(2026, 1, 1, 0, 0, 0, 500, time.UTC)
	put := func(name string, data []byte) {
		t.Helper()
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		clock = clock.Add(time.Minute)
		if err := os.Chtimes(path, clock, clock); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		put(fmt.Sprintf("box/%d.", i+1), mail.Message(mail.Size(), clock))
	}
	put("box/0", nil)
	put("box/1empty", nil)
	put("box/2large", mail.Message(2*maxHanded+1, clock))
	put("box/0folder/only", mail.Message(1000, clock))
	put("a/b/c/d", []byte("deep"))
	if err := os.Mkdir(filepath.Join(tree, "a/none"), 0o700); err != nil {
		t.Fatal(err)
	}
	return tree
}

// counter notes which files the kernel asks for.
type counter struct {
	*fileSystem
	mu    sync.Mutex
	asked map[string]bool
}

func (c *counter) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	c.mu.Lock()
	c.asked[filepath.Base(c.nodes[in.NodeId].path)] = true
	c.mu.Unlock()
	return c.fileSystem.Read(cancel, in, buf)
}

func (c *counter) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.asked))
}

func mustMount(t *testing.T, tree string) (point string, c *counter) {
	t.Helper()
	f, err := load(tree)
	if err != nil {
		t.Fatal(err)
	}
	c = &counter{fileSystem: f, asked: map[string]bool{}}
	t.Cleanup(func() { // when the mount has ended
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	return fusetest.Mount(t, c, options()), c
}
