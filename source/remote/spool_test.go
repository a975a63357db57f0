package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/internal/store"
	"backupfs/internal/tartools"
	"backupfs/internal/testenv"
	"backupfs/source"
)

// mustSpool is the spool of a day: its options are for whoever reads it.
func mustSpool(t testing.TB) source.LocalOptions {
	t.Helper()
	root := t.TempDir()
	out, err := exec.Command("tar", "--no-same-owner", "-xzf", filepath.Join(testenv.Testdata(t, "spools"), "day1.tar.gz"), "-C", root).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conf := filepath.Join(root, "imapd.conf")
	b, err := os.ReadFile(conf)
	must(t, err, os.WriteFile(conf, bytes.ReplaceAll(b, []byte("@ROOT@"), []byte(root)), 0o600))
	time.Sleep(2 * 50 * time.Millisecond) // fingerprints count
	return source.LocalOptions{ConfigPath: conf, MboxlistCommand: source.NoMboxlist, MaxPins: 3}
}

// line is a network between us and an agent, which counts and breaks.
type line struct {
	dial Dial

	left   atomic.Int64 // bytes that may still come from the agent
	mends  bool         // a connection that is made after a break has no limit
	asked  atomic.Int64 // writes to the agent
	dialed atomic.Int64

	mu   sync.Mutex // guards what follows
	open []net.Conn
}

var errDown = errors.New("the line is down")

const unlimited = 1 << 60

func (l *line) Dial(ctx context.Context) (net.Conn, error) {
	if l.left.Load() <= 0 {
		if !l.mends {
			return nil, errDown
		}
		l.left.Store(unlimited)
	}
	l.dialed.Add(1)
	c, err := l.dial(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
	return &breaking{c, l}, nil
}

// breaking is a connection of a line. When the line's bytes are used up all of them break.
type breaking struct {
	net.Conn
	line *line
}

func (b *breaking) Write(p []byte) (int, error) {
	b.line.asked.Add(1)
	return b.Conn.Write(p)
}

func (b *breaking) Read(p []byte) (int, error) {
	left := b.line.left.Load()
	if left <= 0 {
		b.line.mu.Lock()
		defer b.line.mu.Unlock()
		for _, c := range b.line.open {
			_ = c.Close()
		}
		b.line.open = nil
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.Conn.Read(p[:min(int64(len(p)), left)])
	b.line.left.Add(-int64(n))
	return n, err
}

var at = time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC)

// run backs alice up into a store.
func run(t testing.TB, st *store.Store, src source.Source) (*backup.Result, error) {
	t.Helper()
	return backup.User(t.Context(), st, src, "alice", backup.Options{At: at})
}

func mustStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Init(filepath.Join(t.TempDir(), "store"))
	must(t, err)
	return st
}

// mustEntries is what alice's archive holds before the marker; of cyrus.backupfs, that it is there: each kind of source has fingerprints
// of its own.
func mustEntries(t testing.TB, st *store.Store) string {
	t.Helper()
	u, err := st.User("alice")
	must(t, err)
	path, err := u.Archive()
	must(t, err)
	entries, err := tartools.Tarfile(path)
	must(t, err)
	var list strings.Builder
	for _, e := range entries[:len(entries)-1] {
		if e.Data = 0; strings.HasSuffix(e.Name, "/cyrus.backupfs") {
			e = tartools.Entry{Name: e.Name}
		}
		fmt.Fprintln(&list, e)
	}
	return list.String()
}

// hasRun says that a store shows a run of alice.
func hasRun(t testing.TB, st *store.Store) bool {
	t.Helper()
	u, err := st.User("alice")
	must(t, err)
	path, err := u.Archive()
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	must(t, err)
	a, err := archive.Open(path)
	must(t, err)
	defer a.Close()
	end, err := a.Complete(archive.Position{})
	must(t, err)
	return end.File > 0
}

// TestBreaks: the line breaks after so many bytes, for many numbers of them. If it stays broken there is no run, and the next one has all; if it
// is mended the run goes on. What is stored is in each case what the spool itself gives.
func TestBreaks(t *testing.T) {
	backoff = []time.Duration{time.Millisecond}
	spool := mustSpool(t)
	local, err := source.OpenLocal(t.Context(), spool)
	must(t, err)
	near := mustStore(t)
	_, err = run(t, near, local)
	must(t, err)
	want := mustEntries(t, near)
	dial := mustAgent(t, spool)
	for _, plain := range []bool{false, true} {
		whole := &line{dial: dial}
		whole.left.Store(unlimited)
		src := mustOpen(t, whole.Dial, Options{Plain: plain})
		opened := unlimited - whole.left.Load()
		st := mustStore(t)
		_, err := run(t, st, src)
		must(t, err)
		if mustEntries(t, st) != want {
			t.Fatalf("plain %v: from an agent it is another archive", plain)
		}
		total := unlimited - whole.left.Load()
		connections := 2 * whole.dialed.Load() // each breaks once
		const breaks = 12
		for i := range breaks {
			n := opened + 1 + (total-opened-2)*int64(i)/breaks // at least one byte is lacking
			for _, mends := range []bool{false, true} {
				t.Run(fmt.Sprintf("plain=%v/%d/mends=%v", plain, n, mends), func(t *testing.T) {
					l := &line{dial: dial, mends: mends}
					l.left.Store(n)
					src, st := mustOpen(t, l.Dial, Options{Plain: plain}), mustStore(t)
					_, err := run(t, st, src)
					switch {
					case mends && err != nil:
						t.Fatal(err)
					case mends && (l.dialed.Load() < 2 || l.dialed.Load() > connections):
						t.Errorf("%d connections", l.dialed.Load())
					case !mends && !errors.Is(err, ErrUnreachable):
						t.Fatalf("without a line: %v", err)
					case !mends && hasRun(t, st):
						t.Error("half a run is shown")
					}
					if !mends {
						_, err = run(t, st, local)
						must(t, err)
					}
					if mustEntries(t, st) != want {
						t.Error("another archive")
					}
				})
			}
		}
	}
}

// TestRoundTrips: an unchanged user costs one; with backupcyrusd alone, two. A first run costs one for each folder that has messages, since
// all of them are looked at at once, and a few for the user.
func TestRoundTrips(t *testing.T) {
	spool := mustSpool(t)
	for plain, want := range map[bool]int64{false: 1, true: 2} {
		l := &line{dial: mustAgent(t, spool)}
		l.left.Store(unlimited)
		src, st := mustOpen(t, l.Dial, Options{Plain: plain}), mustStore(t)
		for i := range 3 {
			l.asked.Store(0)
			result, err := run(t, st, src)
			must(t, err)
			asked := l.asked.Load()
			t.Logf("plain %v: run %d: asked %d times for %d folders", plain, i+1, asked, result.Changed)
			if i == 0 && !plain && asked > int64(result.Changed)+5 {
				t.Errorf("the first run asked %d times for %d folders", asked, result.Changed)
			}
			if i > 1 && (asked != want || result.Changed != 0) {
				t.Errorf("plain %v: run %d: asked %d times, %d folders changed", plain, i+1, asked, result.Changed)
			}
			time.Sleep(fine) // to see times twice
		}
		if n := l.dialed.Load(); n != map[bool]int64{false: 2, true: 1}[plain] {
			t.Errorf("plain %v: %d connections", plain, n)
		}
	}
}
