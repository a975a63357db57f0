package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/cyrus"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// What is done at once, and for how many users: more than are being changed, so that there is always a next one.
const (
	loadGreps   = 24
	loadWorkers = 12
	loadUsers   = 16
)

// What a mount may take under the race detector, which multiplies it by 5 to 10: it holds 4 MiB of members, and of each user an index. What
// it takes in an hour is no more than in a minute. Descriptors: an archive and an index of 64 users, or of what was replaced (fs/users.go), and
// what the kernel's FUSE and Go have.
const (
	loadMemory      = 1 << 30
	loadDescriptors = 2*64 + 64
)

// load is users whose mail changes, each on a server of their own, their store, and what is done to that by the programs themselves.
type load struct {
	*fixture
	servers string
	users   []*history
	free    chan *history // whom nobody changes now
	mounts  []*mounted
	seed    uint64

	greps, gone, bytes, runs, compactions atomic.Int64
	peak                                  []usage // by mount
}

// usage is what a process takes.
type usage struct{ memory, descriptors int64 }

// TestLoad: 24 greps through two mounts, 12 backups and a compaction, all of them programs of their own, at once. What each grep finds is each
// byte of what the date must hold. It goes on for BACKUPFS_TORTURE seconds, or until there are two more runs for each user, a compaction, and 24 greps.
func TestLoad(t *testing.T) {
	x := newLoad(t)
	defer x.told()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	loop := func(n int, do func(*rand.Rand) error) {
		random := rand.New(rand.NewPCG(x.seed, uint64(n)))
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := do(random); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range loadGreps {
		loop(i, x.grep)
	}
	for i := range loadWorkers {
		loop(loadGreps+i, func(*rand.Rand) error { return x.change((*load).backUp) })
	}
	loop(loadGreps+loadWorkers, func(*rand.Rand) error { return x.change((*load).compactOne) })
	for over := x.over(); ctx.Err() == nil && !over(); time.Sleep(100 * time.Millisecond) {
		x.measure()
	}
	cancel()
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	x.measure()
	for i, p := range x.peak {
		if p.memory > loadMemory || p.descriptors > loadDescriptors {
			t.Errorf("mount %d took %d MiB, and had %d descriptors", i, p.memory>>20, p.descriptors)
		}
	}
	for _, m := range x.mounts {
		if log := strange.ReplaceAllString(m.log.String(), ""); log != "" {
			t.Errorf("the log:\n%s", log)
		}
	}
	x.mounts[0].end(syscall.SIGTERM)
	if n := x.mounts[1].endInStacks(); n > 50 {
		t.Errorf("%d goroutines are left\n%s", n, x.mounts[1].log)
	}
	if out, err := exec.Command(backupd, "verify", "--store", x.store.Root).CombinedOutput(); err != nil {
		t.Errorf("verify: %v\n%s", err, out)
	}
}

func newLoad(t *testing.T) *load {
	testenv.SetMemory(t)
	x := &load{fixture: newFixture(t), servers: t.TempDir(), free: make(chan *history, loadUsers), seed: testenv.Seed(t)}
	if err := errors.Join(os.Chmod(x.servers, 0o755), os.Chmod(filepath.Dir(x.servers), 0o755)); err != nil { // nobody makes locks there
		t.Fatal(err)
	}
	for i := range loadUsers {
		h := newHistory(x.fixture, fmt.Sprint("user", i), int(x.seed%40)*loadUsers+i) // dates of messages come of it, and have 4 bytes
		x.users = append(x.users, h)
		if err := x.configure(h.user); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := x.backUp(h); err != nil {
				t.Fatal(err)
			}
		}
		x.free <- h
	}
	x.mounts = []*mounted{x.mount("cache=4M"), x.mount("cache=4M")}
	x.peak = make([]usage, len(x.mounts))
	return x
}

// configure makes a user's server: of one on which others change their mail just then, a list of mailboxes has gaps.
func (x *load) configure(name string) error {
	dir := filepath.Join(x.servers, name)
	conf := fmt.Sprintf("servername: imap.example.com\nconfigdirectory: %s/conf\npartition-default: %s/spool\n", dir, dir)
	nobody, err := user.Lookup("nobody") // locks are made as the user who owns their folder, and who is not root
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(nobody.Uid)
	locks := filepath.Join(dir, "conf/lock")
	return errors.Join(err, os.MkdirAll(locks, 0o755), os.Chown(locks, uid, -1), os.WriteFile(filepath.Join(dir, "conf/mailboxes.db"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "imapd.conf"), []byte(conf), 0o644))
}

// over says when it is enough.
func (x *load) over() func() bool {
	if testenv.Torture() {
		seconds, err := strconv.Atoi(os.Getenv("BACKUPFS_TORTURE"))
		if err != nil {
			x.t.Fatal("BACKUPFS_TORTURE: ", err)
		}
		until := time.Now().Add(time.Duration(seconds) * time.Second)
		return func() bool { return time.Now().After(until) }
	}
	runs := x.runs.Load() + 2*loadUsers
	return func() bool { return x.runs.Load() >= runs && x.compactions.Load() > 0 && x.greps.Load() >= loadGreps }
}

// told says what was done.
func (x *load) told() {
	summary := fmt.Sprintf("%d greps compared in %d MiB, %d more began at dates that were gone; %d runs, %d compactions",
		x.greps.Load(), x.bytes.Load()>>20, x.gone.Load(), x.runs.Load(), x.compactions.Load())
	for _, p := range x.peak {
		summary += fmt.Sprintf("; a mount took %d MiB at most, and %d descriptors", p.memory>>20, p.descriptors)
	}
	x.t.Log(summary)
}

// measure looks what the mounts take.
func (x *load) measure() {
	for i, m := range x.mounts {
		dir := fmt.Sprintf("/proc/%d", m.cmd.Process.Pid)
		fds, err := os.ReadDir(dir + "/fd")
		status, err2 := os.ReadFile(dir + "/status")
		_, peak, ok := strings.Cut(string(status), "VmHWM:")
		var kib int64
		_, err3 := fmt.Sscan(peak, &kib)
		if err := errors.Join(err, err2, err3); err != nil || !ok {
			x.t.Errorf("mount %d: %v\n%s", i, err, m.log)
			return
		}
		x.peak[i].memory, x.peak[i].descriptors = kib<<10, max(x.peak[i].descriptors, int64(len(fds)))
	}
}

// change does something to a user to whom nobody else does.
func (x *load) change(do func(*load, *history) error) error {
	h := <-x.free
	defer func() { x.free <- h }()
	return do(x, h)
}

// backUp lets a user do something, and backs them up.
func (x *load) backUp(h *history) error {
	h.live()
	h.begun = h.begun.Add(7 * time.Hour)
	r := indextest.Run{User: h.user, Begun: h.begun, Folders: slices.Clone(h.folders)}
	for i, f := range r.Folders {
		r.Folders[i].Messages = slices.Clone(f.Messages)
	}
	if err := x.spool(r); err != nil {
		return err
	}
	err := h.ran(append(slices.Clone(h.runs), &state{r, model(x.t, r, false)}), "backup", "--store", x.store.Root, "--imapd-conf",
		filepath.Join(x.servers, h.user, "imapd.conf"), "--mailbox-list", "spool", "--at", r.Begun.Format(time.RFC3339), h.user)
	x.runs.Add(1)
	return err
}

// compactOne leaves a user the last runs, if there are many.
func (x *load) compactOne(h *history) error {
	const last = 3
	if len(h.runs) <= last {
		return nil
	}
	x.compactions.Add(1)
	return h.ran(h.runs[len(h.runs)-last:], "compact", "--store", x.store.Root, "--keep", fmt.Sprint("last=", last), "--live", "100", h.user)
}

// ran runs a program that makes a version of runs.
func (h *history) ran(runs []*state, args ...string) (err error) {
	h.change(runs, func() {
		var out []byte
		if out, err = exec.Command(backupd, args...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%q: %w\n%s", args, err, out)
		}
	})
	return err
}

// spool writes a user's mail as it stands on the server.
func (x *load) spool(r indextest.Run) error {
	top := filepath.Join(x.servers, r.User, "spool/user", r.User)
	if err := os.RemoveAll(top); err != nil {
		return err
	}
	for _, f := range r.Folders {
		path := cyrus.TreePath(f.Name)
		dir := filepath.Join(append([]string{top}, path[1:]...)...)
		files := map[string][]byte{"cyrus.index": f.Index(x.t), "cyrus.header": f.Header()}
		for _, m := range f.Messages {
			files[fmt.Sprint(m.UID, ".")] = []byte(m.Body)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, b := range files {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// grep reads all of a date, and compares each byte.
func (x *load) grep(random *rand.Rand) error {
	h := x.users[random.IntN(len(x.users))]
	r := reader{m: x.mounts[random.IntN(len(x.mounts))], random: random}
	path, name := r.pick(h)
	began := time.Now()
	cmd := exec.Command("grep", "-ra", "", ".")
	cmd.Dir = path
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	states := date(h.between(began, time.Now(), patience), name)
	if errors.Is(err, fs.ErrNotExist) && cmd.Process == nil {
		x.gone.Add(1)
		seen := h.between(began, time.Now(), patience)
		if slices.ContainsFunc(seen, func(v version) bool { return v.dates[name] == nil }) {
			return nil
		}
	}
	if err != nil || stderr.Len() > 0 {
		return fmt.Errorf("grep in %s: %w, %s", path, err, stderr.String())
	}
	x.greps.Add(1)
	x.bytes.Add(int64(stdout.Len()))
	found, err := sums(&stdout)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.found(found) {
			return nil
		}
	}
	return fmt.Errorf("grep in %s finds in %d files what is in none of %d runs", path, len(found), len(states))
}

// sums are the digests of what grep found, by file. No name has a colon in it.
func sums(out *bytes.Buffer) (map[string][sha1.Size]byte, error) {
	contents := map[string]*bytes.Buffer{}
	for in := bufio.NewReader(out); ; {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 {
			break
		}
		name, text, ok := bytes.Cut(line, []byte(":"))
		if err != nil || !ok {
			return nil, fmt.Errorf("grep says %.80q", line)
		}
		if contents[string(name)] == nil {
			contents[string(name)] = &bytes.Buffer{}
		}
		contents[string(name)].Write(text)
	}
	found := map[string][sha1.Size]byte{}
	for name, b := range contents {
		found[strings.TrimPrefix(name, "./")] = sha1.Sum(b.Bytes())
	}
	return found, nil
}

// found says whether that is all that grep finds in a date, to the byte; but for a newline that it puts behind each file.
func (s *state) found(found map[string][sha1.Size]byte) bool {
	files := 0
	for rel, w := range s.tree {
		if !w.mode.IsRegular() {
			continue
		}
		files++
		content := w.content
		if !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		if found[rel] != sha1.Sum([]byte(content)) {
			return false
		}
	}
	return files == len(found)
}
