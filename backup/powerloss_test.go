package backup

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/durable"
	"backupfs/internal/testenv"
)

// disk knows what of a folder a power loss cannot take: what was synced.
type disk struct {
	t      testing.TB
	root   string
	synced state
	begun  func() // what the operation that was begun last has made durable, once it is done
	lost   state  // what there was when the power went
}

// state is files by inode, and inodes by path.
type state struct {
	data  map[uint64][]byte
	names map[string]uint64
}

func (d *disk) now() state {
	d.t.Helper()
	s := state{map[uint64][]byte{}, map[string]uint64{}}
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		s.names[path], s.data[st.Ino] = st.Ino, b
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// newDisk takes all that is in a folder for durable.
func newDisk(t testing.TB, root string) *disk {
	d := &disk{t: t, root: root, begun: func() {}}
	d.synced = d.now()
	return d
}

// operation is told of one that begins: the one before it is done.
func (d *disk) operation(op, path string) {
	d.begun()
	d.begun = func() {
		now := d.now()
		switch op {
		case "sync":
			d.synced.data[now.names[path]] = now.data[now.names[path]]
		case "syncdir":
			for _, names := range []map[string]uint64{d.synced.names, now.names} {
				for name := range names {
					if filepath.Dir(name) == path {
						delete(d.synced.names, name)
					}
				}
			}
			for name, ino := range now.names {
				if filepath.Dir(name) == path {
					d.synced.names[name] = ino
				}
			}
		}
	}
}

// off is when the power goes: what was begun is done, and nothing behind it.
func (d *disk) off() {
	d.begun()
	d.lost = d.now()
}

// lose makes of the folder what a power loss may leave of it: of what was not synced, names and pages at random, in no order.
func (d *disk) lose(rng *rand.Rand) {
	d.t.Helper()
	left := map[string][]byte{}
	// A file has its old names or its new ones: file systems rename as a whole.
	for _, ino := range inodes(d.synced, d.lost) {
		names, old, now := d.synced.names, d.synced.data[ino], d.lost.data[ino]
		if rng.IntN(2) == 0 {
			names = d.lost.names
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if _, taken := left[name]; names[name] != ino || taken {
				continue
			}
			if left[name] = mixed(rng, old, now); strings.HasPrefix(filepath.Base(name), "index.sqlite3") {
				left[name] = [][]byte{old, now, nil}[rng.IntN(3)] // sqlite syncs for itself
			}
		}
	}
	for name := range d.now().names {
		if err := os.Remove(name); err != nil {
			d.t.Fatal(err)
		}
	}
	for name, b := range left {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
}

// mixed is a file of which some pages were written back, and some not; what is between is zeros.
func mixed(rng *rand.Rand, old, now []byte) []byte {
	const page = 4096
	size := []int{len(old), len(now), min(len(old), len(now)) + rng.IntN(max(len(old), len(now))-min(len(old), len(now))+1)}[rng.IntN(3)]
	b := make([]byte, size)
	copy(b, old)
	for at := 0; at < size; at += page {
		if rng.IntN(2) == 0 && at < len(now) {
			copy(b[at:min(at+page, size)], now[at:])
		}
	}
	return b
}

func inodes(states ...state) (all []uint64) {
	for _, s := range states {
		for _, ino := range s.names {
			all = append(all, ino)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestPowerLoss has the power go at each durable operation of a run, and behind it. Of what was not synced by then any part may be on the
// disk, in any order. The run happened as a whole or not at all, and for certain once it returned; the next one succeeds, and every
// date is what the server was. BACKUPFS_TORTURE is for other parts each time, BACKUPFS_SEED repeats those of an earlier one.
func TestPowerLoss(t *testing.T) {
	testenv.SetMemory(t)
	rounds, seed := powerLosses(), testenv.Seed(t)
	losses := 0
	for name, before := range scenarios {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			root := indextest.Store(t)
			for op, done := 0, false; !done; op++ {
				for round := range rounds {
					m := scenario(t, filepath.Join(root, fmt.Sprint(op, ".", round)), before)
					d := newDisk(t, m.st.Root)
					err := d.runUntil(op, func() error {
						_, err := m.try(context.Background())
						return err
					})
					done = err == nil
					d.lose(rng)
					losses++
					m.attempt(t, err)
					m.recover(t, fmt.Sprintf("the power went before operation %d, BACKUPFS_SEED=%d", op, seed))
				}
			}
		})
	}
	t.Logf("power losses survived: %d", losses)
}

// TestReindexPowerLoss kills a run where it is complete in memory and not yet on the disk, makes the index anew of that, and has the power go then:
// the index knows of no run that the disk has not.
func TestReindexPowerLoss(t *testing.T) {
	testenv.SetMemory(t)
	seed, losses := testenv.Seed(t), 0
	for name, before := range map[string]func(rapid.TB, *model){"first": func(rapid.TB, *model) {}, "next": func(t rapid.TB, m *model) { m.run(t) }} {
		rng := rand.New(rand.NewPCG(seed, 0))
		root := indextest.Store(t)
		for op, done, round := 0, false, 0; !done; round++ {
			m := scenario(t, filepath.Join(root, fmt.Sprint(op, ".", round)), before)
			d := newDisk(t, m.st.Root)
			restore := durable.InjectFault(d.until(op))
			_, err := m.try(context.Background())
			restore()
			last, ok := m.lastRun(t)
			if done = err == nil; done || !ok || last.Run == m.last().run.Run || round == 4*powerLosses() {
				op, round = op+1, 0
				continue
			}
			restore = durable.InjectFault(d.until(math.MaxInt))
			err = index.Rebuild(context.Background(), mustArchive(t, m), m.user(t).Index(), nil)
			restore()
			if err != nil {
				t.Fatal(err)
			}
			d.off()
			d.lose(rng)
			losses++
			m.attempt(t, errFault)
			m.recover(t, fmt.Sprintf("%s run, killed before operation %d, BACKUPFS_SEED=%d", name, op, seed))
		}
	}
	if t.Logf("power losses survived: %d", losses); losses == 0 {
		t.Error("no run was complete in memory alone")
	}
}

// until is the disk's operations up to number op, at which the process is killed.
func (d *disk) until(op int) durable.Fault {
	var mu sync.Mutex // of n and the disk
	n := 0
	return func(kind, path string) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n-1 >= op {
			return errFault
		}
		d.operation(kind, path)
		return nil
	}
}

// powerLosses is how often the power goes at each operation.
func powerLosses() int {
	if testenv.Torture() {
		return 30
	}
	return 3
}

// TestCompactPowerLoss is the same for a compaction: the user has an archive that counts and is whole, the old one or the new one.
func TestCompactPowerLoss(t *testing.T) {
	testenv.SetMemory(t)
	rounds, seed := powerLosses(), testenv.Seed(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	root, keep, losses := indextest.Store(t), Keep{Last: 2}, 0
	for op, done := 0, false; !done; op++ {
		for round := range rounds {
			m := scenario(t, filepath.Join(root, fmt.Sprint(op, ".", round)), func(t rapid.TB, m *model) { m.run(t); m.run(t) })
			m.run(t)
			old := mustArchive(t, m)
			d := newDisk(t, m.st.Root)
			err := d.runUntil(op, func() error {
				_, err := m.tryCompact(t, keep, always)
				return err
			})
			done = err == nil
			d.lose(rng)
			losses++
			if now := mustArchive(t, m); now != old {
				m.drop(t, keep)
			} else if done {
				t.Error("what was done is undone")
			}
			m.compact(t, keep, always)
			m.recover(t, fmt.Sprintf("the power went before operation %d, BACKUPFS_SEED=%d", op, seed))
			if left := mustList(t, m.user(t).Dir); len(left) != 3 {
				t.Fatalf("operation %d, BACKUPFS_SEED=%d: left is %q", op, seed, left)
			}
		}
	}
	t.Logf("power losses survived: %d", losses)
}

// runUntil does work until the power goes instead of its durable operation number op.
func (d *disk) runUntil(op int, work func() error) error {
	var mu sync.Mutex // of n and the disk
	n := 0
	restore := durable.InjectFault(func(kind, path string) error {
		mu.Lock()
		defer mu.Unlock()
		switch n++; {
		case n-1 < op:
			d.operation(kind, path)
			return nil
		case n-1 == op:
			d.off()
		}
		return errFault
	})
	err := work()
	restore()
	if n <= op {
		d.off()
	}
	return err
}
