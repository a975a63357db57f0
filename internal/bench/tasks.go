package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// task is something done to a tree, that gives two figures. goals are what a mounted store may take for each, beside
// the spool.
type task struct {
	name, unit string
	figures    [2]string
	goals      [2]string
	// run returns fewer than two figures where it was too slow (errSlow). The page cache holds nothing when it begins.
	run func(b *bench, dirs []string) ([]float64, error)
}

const nowhere = "no message has these words in it"

var tasks = []task{
	coldAndWarm("`find`", "2.7", "0.6", func(dirs []string, _ string) []string {
		return append([]string{"find"}, dirs...)
	}),
	coldAndWarm("`find -printf '%s %T@ %p'`", "0.50", "", func(dirs []string, _ string) []string {
		return append(append([]string{"find"}, dirs...), "-printf", "%s %T@ %p\n")
	}),
	coldAndWarm("`grep -r`", "0.25", "1.10", func(dirs []string, _ string) []string {
		return append([]string{"grep", "-rlF", nowhere}, dirs...)
	}),
	coldAndWarm("`cp -r` of a user", "0.35", "", func(dirs []string, to string) []string {
		return []string{"cp", "-r", dirs[0] + "/", to}
	}),
	coldAndWarm("`rsync -a` of a user", "0.75", "", func(dirs []string, to string) []string {
		return []string{"rsync", "-a", dirs[0] + "/", to}
	}),
	{name: fmt.Sprintf("%d messages at random, cold", atRandom), unit: "ms", figures: [2]string{"p50", "p99"},
		goals: [2]string{"0.6 ms", "2 ms"}, run: (*bench).random},
}

// coldAndWarm is a command that is run twice: on a fresh mount with nothing in the page cache, and once more.
func coldAndWarm(name, goalCold, goalWarm string, argv func(dirs []string, to string) []string) task {
	return task{name: name, unit: "s", figures: [2]string{"cold", "warm"}, goals: [2]string{goalCold, goalWarm},
		run: func(b *bench, dirs []string) (took []float64, err error) {
			for range 2 {
				to, err := os.MkdirTemp("/dev/shm", "bench-")
				if err != nil {
					return took, err
				}
				t, err := withinLimit(b.limit(), argv(dirs, to)...)
				if err := errors.Join(err, os.RemoveAll(to)); err != nil {
					return took, err
				}
				took = append(took, t)
			}
			return took, nil
		}}
}

// atRandom is how many messages are read one by one.
const atRandom = 500

// random opens and reads messages from all over the tree, whose names it knows from the spool, and compares their sizes.
func (b *bench) random(dirs []string) ([]float64, error) {
	rnd := rand.New(rand.NewPCG(1, 2))
	perUser := len(b.spool.boxes) / len(b.spool.users)
	defer quietThread()()
	var ms []float64
	begun := time.Now()
	for range atRandom {
		i := rnd.IntN(len(b.spool.boxes))
		box := b.spool.boxes[i]
		user := i / perUser
		rel, err := filepath.Rel(b.spool.userDir(b.spool.users[user]), box.dir)
		if err != nil {
			return nil, err
		}
		r := box.ix.Records[rnd.IntN(len(box.ix.Records))]
		path := filepath.Join(dirs[user], rel, fmt.Sprintf("%d.", r.UID))
		one := time.Now()
		m, err := os.ReadFile(path)
		ms = append(ms, float64(time.Since(one))/1e6)
		if err != nil {
			return nil, err
		}
		if uint64(len(m)) != r.Size {
			return nil, fmt.Errorf("%s has %d bytes, not %d", path, len(m), r.Size)
		}
		if time.Since(begun) > b.limit() {
			return nil, errSlow
		}
	}
	return []float64{quantile(ms, 0.5), quantile(ms, 0.99)}, nil
}

// quietThread keeps the signal by which Go's scheduler preempts from this goroutine's thread, until the returned function is
// called: a system call that it interrupts is one of a mount interrupted, which restic answers with EIO.
func quietThread() (end func()) {
	runtime.LockOSThread()
	var urg, before unix.Sigset_t
	urg.Val[0] = 1 << (syscall.SIGURG - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &urg, &before); err != nil {
		panic(err) // it fails for wrong arguments only
	}
	return func() {
		if err := unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil); err != nil {
			panic(err)
		}
		runtime.UnlockOSThread()
	}
}
