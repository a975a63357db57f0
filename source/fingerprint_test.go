package source

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFingerprintHidesNothing rewrites a file in place, as the server does with a flag, without another size or inode, and
// with its mtime put back: a fingerprint that counted before does not count after. Those count that are settled.
func TestFingerprintHidesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cyrus.index")
	absent := path + ".absent"
	content := []byte{0}
	mtime := time.Unix(1254175711, 0)
	counted := 0
	const n = 400
	for i := range n {
		content[0]++
		began := time.Now()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			time.Sleep(settled + time.Duration(i%7-3)*time.Millisecond)
		}
		before := fingerprintOf(path, absent)
		if took := time.Since(began); before != "" && took < settled/2 { // the kernel's clock ticks every 10 ms at least
			t.Fatalf("changed a moment ago, and settled %v after it began", took)
		}
		if before == "" {
			continue
		}
		counted++
		if again := fingerprintOf(path, absent); again != before {
			t.Fatalf("nothing changed: %s, %s", before, again)
		}
		content[0]++
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(content, 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Chtimes(path, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		if after := fingerprintOf(path, absent); after == before {
			t.Fatal("a change is hidden")
		}
		time.Sleep(settled + 20*time.Millisecond)
		if after := fingerprintOf(path, absent); after == before || after == "" {
			t.Fatalf("a change is hidden: %q, later %q", before, after)
		}
	}
	if counted < n/100 {
		t.Errorf("%d of %d fingerprints counted", counted, n)
	}
}

// TestFingerprintStates: each thing that it stands for makes another; what is too new counts for nothing.
func TestFingerprintStates(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	stat := func(change func(*unix.Stat_t)) *unix.Stat_t {
		st := &unix.Stat_t{Dev: 1, Ino: 2, Size: 3, Mtim: unix.Timespec{Sec: 4, Nsec: 5}, Ctim: unix.Timespec{Sec: 6, Nsec: 7}}
		change(st)
		return st
	}
	same := func(*unix.Stat_t) {}
	seen := map[string]int{}
	for i, stats := range [][]*unix.Stat_t{
		{stat(same), stat(same)},
		{stat(same), nil},
		{nil, stat(same)},
		{nil, nil},
		{stat(same)},
		{stat(func(st *unix.Stat_t) { st.Ino++ }), stat(same)},
		{stat(func(st *unix.Stat_t) { st.Size++ }), stat(same)},
		{stat(func(st *unix.Stat_t) { st.Mtim.Nsec++ }), stat(same)},
		{stat(func(st *unix.Stat_t) { st.Mtim.Sec++ }), stat(same)},
		{stat(func(st *unix.Stat_t) { st.Ctim.Nsec++ }), stat(same)},
		{stat(same), stat(func(st *unix.Stat_t) { st.Ctim.Sec++ })},
	} {
		fp := fingerprint(now, stats...)
		if j, twice := seen[fp]; twice || fp == "" {
			t.Errorf("states %d and %d: %q", i, j, fp)
		}
		seen[fp] = i
	}
	for _, c := range []struct {
		sec, nsec int64
		counts    bool
	}{
		{now.Unix() - 1, 999_999_999 - 50_000_000, true},
		{now.Unix() - 1, 999_999_999 - 49_000_000, false},
		{now.Unix(), 1, false},
		{now.Unix() + 100, 1, false}, // a clock that was put back
		{now.Unix() - 2, 1, true},
		{now.Unix() - 2, 0, false}, // whole seconds
		{now.Unix() - 3, 0, true},
	} {
		st := stat(func(st *unix.Stat_t) { st.Ctim = unix.Timespec{Sec: c.sec, Nsec: c.nsec} })
		if got := fingerprint(now, nil, st) != ""; got != c.counts {
			t.Errorf("changed at %d.%09d, looked at %d: counts %v", c.sec, c.nsec, now.Unix(), got)
		}
	}
}
