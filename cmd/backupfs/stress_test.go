package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// TestStress reads a store in all ways at once, through two mounts with next to no cache, one of them on one processor and with flags, while runs land and
// archives are compacted. Each byte is compared with what the date must hold, each listing with what must be there within 2 s. It goes
// on for BACKUPFS_STRESS_SECONDS, or 8 s, and until each reader has done something.
func TestStress(t *testing.T) {
	seconds := 8
	if s := os.Getenv("BACKUPFS_STRESS_SECONDS"); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil {
			t.Fatal("BACKUPFS_STRESS_SECONDS: ", err)
		}
	}
	x := newFixture(t)
	var users []*history
	for i := range 8 {
		h := newHistory(x, fmt.Sprint("user", i), i+1)
		for range 3 {
			h.backup()
			h.live()
		}
		users = append(users, h)
	}
	mounts := []*mounted{x.mount("cache=1M"), x.mount("cache=2M,flags", "GOMAXPROCS=1")}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	ends := time.Now().Add(time.Duration(seconds) * time.Second)
	var done [6]atomic.Int64
	idle := func() bool {
		for i := range done {
			if done[i].Load() == 0 {
				return true
			}
		}
		return false
	}
	for i, m := range mounts {
		looks := &looks{begun: map[*time.Time]bool{}}
		for j, read := range []func(*reader) error{(*reader).walk, (*reader).grep, (*reader).hold, (*reader).watch, (*reader).interrupt} {
			r := &reader{m: m, users: users, looks: looks, random: rand.New(rand.NewPCG(uint64(i), uint64(j)))}
			group.Go(func() error {
				defer r.close()
				for ctx.Err() == nil {
					if err := read(r); err != nil {
						return err
					}
					done[j].Add(1)
				}
				return nil
			})
		}
	}
	random, replaced := rand.New(rand.NewPCG(1, 1)), 0
	for ctx.Err() == nil && (time.Now().Before(ends) || idle()) {
		h := users[random.IntN(3)] // the others stay as they are
		if len(h.runs) > 2 && random.IntN(4) == 0 || len(h.runs) > 25 {
			h.compact(1 + random.IntN(len(h.runs)-1))
			replaced++
		} else {
			h.live()
			h.backup()
		}
		done[5].Add(1)
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	t.Logf("%d walks, %d rounds of 8 greps, %d held files, %d looks at what is new, %d interrupts, %d changes, of which %d replace an archive",
		done[0].Load(), done[1].Load(), done[2].Load(), done[3].Load(), done[4].Load(), done[5].Load(), replaced)
	for _, m := range mounts {
		if log := strange.ReplaceAllString(m.log.String(), ""); log != "" {
			t.Errorf("the log:\n%s", log)
		}
		// An archive and an index each, of those that were replaced until they rest.
		if n, most := descriptors(t, m, x.store.Root), 2*(len(users)+replaced); n > most {
			t.Errorf("%d files of the store are open, for %d users", n, len(users))
		}
	}
	mounts[0].end(syscall.SIGTERM)
	if n := mounts[1].endInStacks(); n > 50 {
		t.Errorf("%d goroutines are left\n%s", n, mounts[1].log)
	}
}

// strange is what a mount may say: it saw an archive before its index.
var strange = regexp.MustCompile(`(?m)^backupfs: user user\d+: the store's index cannot be used .*\n`)

// descriptors counts what a mount has open in a store.
func descriptors(t *testing.T, m *mounted, root string) (n int) {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", m.cmd.Process.Pid))
	if err != nil || len(fds) == 0 {
		t.Fatal("descriptors of the mount: ", len(fds), err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, root+"/") {
			n++
		}
	}
	return n
}

// endInStacks ends the child by SIGQUIT, so that its stacks are in its log, and counts its goroutines.
func (m *mounted) endInStacks() int {
	m.t.Helper()
	m.done = true
	_ = m.cmd.Process.Signal(syscall.SIGQUIT)
	<-m.ended
	if err := unix.Unmount(m.dir, unix.MNT_DETACH); err != nil {
		m.t.Error(err)
	}
	n := strings.Count(m.log.String(), "\ngoroutine ")
	if n == 0 || strings.Contains(m.log.String(), "DATA RACE") {
		m.t.Errorf("the child's log:\n%s", m.log)
	}
	return n
}

// reader is one who reads a mount again and again.
type reader struct {
	m      *mounted
	users  []*history
	looks  *looks
	random *rand.Rand
	held   []held
}

// looks are how long it takes to look at a user's folder in a mount. An answer that is late brings what was so when it was made up, and
// the kernel keeps it for a second from when it came: whoever it was for.
type looks struct {
	mu      sync.Mutex // guards what follows
	begun   map[*time.Time]bool
	slowest time.Duration
}

// timed takes the time of a look.
func (l *looks) timed(look func() error) error {
	began := time.Now()
	l.mu.Lock()
	l.begun[&began] = true
	l.mu.Unlock()
	err := look()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.begun, &began)
	l.slowest = max(l.slowest, time.Since(began))
	return err
}

// longest is what one of them has taken so far.
func (l *looks) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := l.slowest
	for began := range l.begun {
		longest = max(longest, time.Since(*began))
	}
	return longest
}

// held is an open file.
type held struct {
	file    *os.File
	path    string
	content string
}

// late is how long a mount may show what was: not what it has to be (watch), but what is no error in what is read then.
const late = 10 * time.Second

func (r *reader) user() *history { return r.users[r.random.IntN(len(r.users))] }

// pick returns a date of a user, as a path and a name.
func (r *reader) pick(h *history) (path, name string) {
	now := time.Now()
	seen := h.between(now, now, 0)
	names := append(slices.Sorted(maps.Keys(seen[0].dates)), "latest")
	name = names[r.random.IntN(len(names))]
	return r.m.path(h.user, name), name
}

// absent says that a date is not there, if that can be.
func absent(h *history, name string, began time.Time, err error) error {
	if seen := h.between(began, time.Now(), late); errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(seen, func(v version) bool { return v.dates[name] == nil }) {
		return nil
	}
	return fmt.Errorf("%s: %w", h.user, err)
}

// walk compares all of a date with the model.
func (r *reader) walk() error {
	h := r.user()
	path, name := r.pick(h)
	began := time.Now()
	var root *os.Root // from here on it is one run, whatever the name stands for later
	err := r.looks.timed(func() (err error) { root, err = os.OpenRoot(path); return err })
	if err != nil {
		return absent(h, name, began, err)
	}
	defer root.Close()
	states := date(h.between(began, time.Now(), late), name)
	got := map[string]want{}
	err = fs.WalkDir(root.FS(), ".", func(rel string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		w := want{mode: info.Mode(), mtime: info.ModTime().Unix()}
		switch d.Type() {
		case 0:
			w.content, err = r.slurp(root, rel)
			if err == nil && info.Size() != int64(len(w.content)) {
				err = fmt.Errorf("stat says %d bytes, it has %d", info.Size(), len(w.content))
			}
		case fs.ModeSymlink:
			w.content, err = root.Readlink(rel)
		}
		got[rel] = w
		return err
	})
	if err != nil {
		return fmt.Errorf("walking %s: %w", path, err)
	}
	var differences []error
	for _, s := range states {
		err := compare(got, s.tree)
		if err == nil {
			return nil
		}
		differences = append(differences, err)
	}
	return fmt.Errorf("%s is none of %d runs: %w", path, len(states), errors.Join(differences...))
}

// slurp reads a file, sometimes so that the kernel has nothing of it.
func (r *reader) slurp(root *os.Root, rel string) (string, error) {
	f, err := root.Open(rel)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if r.random.IntN(2) == 0 {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return "", err
		}
	}
	b, err := io.ReadAll(f)
	return string(b), err
}

// compare returns the first thing in which a tree differs from the model.
func compare(got, tree map[string]want) error {
	for _, rel := range slices.Sorted(maps.Keys(tree)) {
		g, ok := got[rel]
		w := tree[rel]
		if w.mtime == -1 {
			g.mtime = -1
		}
		if !ok {
			return fmt.Errorf("%s is missing", rel)
		}
		if g != w {
			return fmt.Errorf("%s: %v, %d, %d bytes %.60q, want %v, %d, %d bytes %.60q", rel, g.mode, g.mtime, len(g.content), g.content, w.mode, w.mtime, len(w.content), w.content)
		}
	}
	for rel := range got {
		if _, ok := tree[rel]; !ok {
			return fmt.Errorf("%s is not in the model", rel)
		}
	}
	return nil
}

// grep searches a date of each user, all at once.
func (r *reader) grep() error {
	var all errgroup.Group
	for _, h := range r.users {
		path, name := r.pick(h)
		all.Go(func() error {
			began := time.Now()
			cmd := exec.Command("grep", "-rh", "--include=*.", "-m1", "^Subject: message", ".")
			cmd.Dir = path
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := r.looks.timed(cmd.Start) // until it is there
			if err == nil {
				err = cmd.Wait()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return absent(h, name, began, err)
			}
			lines := strings.SplitAfter(stdout.String(), "\n")
			slices.Sort(lines)
			found := strings.Join(lines, "")
			states := date(h.between(began, time.Now(), late), name)
			if err != nil || stderr.Len() > 0 {
				return fmt.Errorf("grep in %s: %v, %s", path, err, stderr.String())
			}
			for _, s := range states {
				if s.subjects() == found {
					return nil
				}
			}
			return fmt.Errorf("grep in %s finds what is in none of %d runs:\n%s", path, len(states), found)
		})
	}
	return all.Wait()
}

// hold opens a file, and reads at random in all those that it opened before: they stay what they are, whatever becomes of the archive.
func (r *reader) hold() error {
	if len(r.held) < 40 {
		h := r.user()
		path, name := r.pick(h)
		began := time.Now()
		states := date(h.between(began, began, late), name)
		if len(states) == 0 {
			return nil
		}
		files := slices.Sorted(maps.Keys(states[0].tree))
		rel := files[r.random.IntN(len(files))]
		if !states[0].tree[rel].mode.IsRegular() {
			return nil
		}
		flags := os.O_RDONLY
		if r.random.IntN(3) == 0 {
			flags |= unix.O_DIRECT
		}
		// In itself "latest" and a date can change between two components of a path, but not so that a file is there which neither had.
		var f *os.File
		err := r.looks.timed(func() (err error) { f, err = os.OpenFile(filepath.Join(path, rel), flags, 0); return err })
		states = date(h.between(began, time.Now(), late), name)
		if errors.Is(err, fs.ErrNotExist) && slices.ContainsFunc(states, func(s *state) bool { _, ok := s.tree[rel]; return !ok }) {
			return nil
		}
		if err != nil {
			return absent(h, name, began, err)
		}
		r.held = append(r.held, held{file: f, path: f.Name()})
		k := &r.held[len(r.held)-1]
		b, err := k.pread(0, 1<<20)
		if err != nil {
			return err
		}
		k.content = string(b)
		if !slices.ContainsFunc(states, func(s *state) bool { return s.tree[rel].content == k.content }) {
			return fmt.Errorf("%s is %d bytes, and of none of %d runs: %.60q", k.path, len(b), len(states), b)
		}
	}
	for range 20 {
		i := r.random.IntN(len(r.held))
		k := &r.held[i]
		off, size := r.random.Int64N(int64(len(k.content)+1)), r.random.IntN(100_000)
		if err := unix.Fadvise(int(k.file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return err
		}
		off &^= 4095
		b, err := k.pread(off, size&^4095)
		if err != nil {
			return err
		}
		if string(b) != cut(k.content, off, size&^4095) {
			return fmt.Errorf("%s, open for long: other bytes at %d", k.path, off)
		}
		if r.random.IntN(30) == 0 {
			k.file.Close()
			r.held = slices.Delete(r.held, i, i+1)
		}
		if len(r.held) == 0 {
			break
		}
	}
	return nil
}

// pread reads as O_DIRECT has to.
func (k *held) pread(off int64, size int) ([]byte, error) {
	buf := aligned(size)
	n, err := unix.Pread(int(k.file.Fd()), buf, off)
	for errors.Is(err, unix.EINTR) { // Go's own signals do that; package os reads on as well
		n, err = unix.Pread(int(k.file.Fd()), buf, off)
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %d: %w", k.path, off, err)
	}
	return buf[:n], nil
}

func (r *reader) close() {
	for _, k := range r.held {
		k.file.Close()
	}
}

// watch looks at a user's folder: what changed 2 s ago is seen, and nothing else. A machine that is slow may be late by as much as a look of
// anybody's takes it.
func (r *reader) watch() error {
	h := r.user()
	began := time.Now()
	var entries []os.DirEntry
	var target string
	err := r.looks.timed(func() (err error) {
		if entries, err = os.ReadDir(r.m.path(h.user)); err != nil {
			return err
		}
		target, err = os.Readlink(r.m.path(h.user, "latest"))
		return err
	})
	if err != nil {
		return err
	}
	seen := h.between(began, time.Now(), 2*time.Second+r.looks.longest())
	names := map[string]bool{}
	for _, e := range entries {
		if name := e.Name(); names[name] && len(seen) == 1 {
			return fmt.Errorf("%s lists %s twice", h.user, name)
		} else if views := []string{"all", "deleted", "latest"}; !slices.Contains(views, name) && len(date(seen, name)) == 0 {
			return fmt.Errorf("%s lists %s, which is no more, or not yet; it has %q", h.user, name, slices.Sorted(maps.Keys(seen[len(seen)-1].dates)))
		}
		names[e.Name()] = true
	}
	for name := range seen[0].dates {
		if !names[name] && !slices.ContainsFunc(seen, func(v version) bool { return v.dates[name] == nil }) {
			return fmt.Errorf("%s lacks %s, and lists %q", h.user, name, slices.Sorted(maps.Keys(names)))
		}
	}
	// A run that was the latest until a moment ago can have its new name by now.
	newest := date(seen, "latest")
	if !slices.ContainsFunc(date(seen, target), func(s *state) bool { return slices.Contains(newest, s) }) {
		return fmt.Errorf("%s: latest leads to %s, not %s", h.user, target, seen[len(seen)-1].latest)
	}
	time.Sleep(20 * time.Millisecond)
	return nil
}

// interrupt starts a program that reads much, and ends it soon: it ends at once, and (as the others see) does no harm.
func (r *reader) interrupt() error {
	h := r.user()
	path, _ := r.pick(h)
	programs := [][]string{{"grep", "-r", "no such line", "."}, {"sh", "-c", "find . -type f -exec cat {} + >/dev/null"}, {"find", ".", "-ls"}}
	words := programs[r.random.IntN(len(programs))]
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = path
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.looks.timed(cmd.Start); err != nil {
		return nil // the date is gone; walk looks whether it may
	}
	time.Sleep(time.Duration(r.random.IntN(50)) * time.Millisecond)
	sig := []syscall.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM}[r.random.IntN(3)]
	killed := time.Now()
	_ = syscall.Kill(-cmd.Process.Pid, sig)
	_ = cmd.Wait() // it may have been done before
	if took := time.Since(killed); took > patience {
		return fmt.Errorf("%q ends %v after %v", words, took, sig)
	}
	return nil
}
