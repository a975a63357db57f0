package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"backupfs/index/indextest"
)

// TestFile: whatever way a program reads a file, it gets the bytes, and the end where it is.
func TestFile(t *testing.T) {
	x := newFixture(t)
	// One that ends within a page, one at the end of a page, one in a member of its own, one that is empty.
	contents := map[string]string{"1.": body(1, 10_000), "2.": body(2, 8192), "3.": body(3, 700_001), "4.": "", "5.": "x"}
	f := indextest.Folder{UniqueID: "id", Name: "INBOX"}
	for uid := range len(contents) {
		f.Messages = append(f.Messages, indextest.Message{UID: uint32(uid + 1), Body: contents[fmt.Sprintf("%d.", uid+1)], Date: 1254000000})
	}
	x.run(indextest.Run{User: "brong", Begun: mustDay("2009-09-28T11:05"), Folders: []indextest.Folder{f}})
	m := x.mount("")
	dir := m.path("brong/latest/INBOX")
	// each opens each file anew and empty of pages, and reads it to see that nothing did harm.
	each := func(name string, check func(t *testing.T, fd int, want string)) {
		t.Run(name, func(t *testing.T) {
			for file, want := range contents {
				fd, err := unix.Open(filepath.Join(dir, file), unix.O_RDONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				mustForget(t, fd)
				check(t, fd, want)
				if err := unix.Close(fd); err != nil {
					t.Error(err)
				}
				if got := mustRead(t, filepath.Join(dir, file)); got != want {
					t.Errorf("%s has other bytes afterwards", file)
				}
			}
		})
	}
	at := func(size int) []int64 {
		n := int64(size)
		return []int64{0, 1, 511, 4095, 4096, n/2 + 7, n - 4097, n - 1, n, n + 1, n + 4096, 1 << 40}
	}

	each("pread", func(t *testing.T, fd int, want string) {
		for _, off := range at(len(want)) {
			for _, size := range []int{0, 1, 100, 4096, 200_000} {
				buf := make([]byte, size)
				n, err := unix.Pread(fd, buf, max(off, 0))
				if expected := cut(want, off, size); err != nil || string(buf[:n]) != expected {
					t.Errorf("%d bytes at %d of %d: %d bytes, %v, want %d", size, off, len(want), n, err, len(expected))
				}
			}
		}
		if _, err := unix.Pread(fd, make([]byte, 1), -1); !errors.Is(err, unix.EINVAL) {
			t.Errorf("before the start: %v", err)
		}
	})
	each("O_DIRECT", func(t *testing.T, fd int, want string) {
		direct, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_DIRECT, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(direct)
		for _, off := range at(len(want)) {
			off = max(off, 0) &^ 511
			buf := aligned(64 << 10)
			n, err := unix.Pread(direct, buf, off)
			if expected := cut(want, off, len(buf)); err != nil || string(buf[:n]) != expected {
				t.Errorf("at %d of %d: %d bytes, %v, want %d", off, len(want), n, err, len(expected))
			}
		}
	})
	each("readv", func(t *testing.T, fd int, want string) {
		a, b := make([]byte, 3), make([]byte, 5000)
		n, err := unix.Preadv(fd, [][]byte{a, b}, 4094)
		if got := append(a, b...)[:max(n, 0)]; err != nil || string(got) != cut(want, 4094, 5003) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	each("mmap", func(t *testing.T, fd int, want string) {
		if want == "" {
			return // there is nothing to map
		}
		for _, flags := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE, unix.MAP_SHARED | unix.MAP_POPULATE} {
			mapped, err := unix.Mmap(fd, 0, len(want), unix.PROT_READ, flags)
			if err != nil {
				t.Fatal(err)
			}
			if string(mapped) != want {
				t.Error("other bytes are mapped")
			}
			// The last page goes on behind the end of the file, with zeros.
			page := unsafe.Slice(unsafe.SliceData(mapped), (len(want)+4095)&^4095)
			if behind := bytes.Trim(page[len(want):], "\x00"); len(behind) > 0 {
				t.Errorf("behind the end is mapped %q", behind)
			}
			if err := unix.Munmap(mapped); err != nil {
				t.Error(err)
			}
		}
		if _, err := unix.Mmap(fd, 0, len(want), unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
			t.Errorf("mapped for writing: %v", err)
		}
		private, err := unix.Mmap(fd, 0, len(want), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		private[0] ^= 1 // is nobody else's
		if err := unix.Munmap(private); err != nil {
			t.Error(err)
		}
	})
	each("a page before the end", func(t *testing.T, fd int, want string) {
		if len(want) <= 4096 {
			return
		}
		off := int64(len(want)-1) &^ 4095
		mapped, err := unix.Mmap(fd, off, len(want)-int(off), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		if string(mapped) != want[off:] {
			t.Error("other bytes are mapped")
		}
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	})
	each("lseek", func(t *testing.T, fd int, want string) {
		size := int64(len(want))
		for _, c := range []struct {
			off    int64
			whence int
			want   int64
			err    error
		}{
			{0, io.SeekEnd, size, nil}, {-size, io.SeekEnd, 0, nil}, {size + 5, io.SeekStart, size + 5, nil}, {-1, io.SeekStart, 0, unix.EINVAL},
			{0, unix.SEEK_HOLE, size, nil}, {size, unix.SEEK_HOLE, 0, unix.ENXIO}, {size, unix.SEEK_DATA, 0, unix.ENXIO}, {size + 1, unix.SEEK_DATA, 0, unix.ENXIO},
			{max(size-1, 0), unix.SEEK_DATA, max(size-1, 0), nil},
		} {
			if size == 0 && c.err == nil && c.whence >= unix.SEEK_DATA {
				c.err = unix.ENXIO
			}
			if got, err := unix.Seek(fd, c.off, c.whence); !errors.Is(err, c.err) || err == nil && got != c.want {
				t.Errorf("%d from %d in %d: %d, %v; want %d, %v", c.off, c.whence, size, got, err, c.want, c.err)
			}
		}
	})
	each("locks", func(t *testing.T, fd int, _ string) {
		other, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(other)
		if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
			t.Errorf("flock: %v", err)
		}
		if err := unix.Flock(other, unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("flock of what is locked: %v", err)
		}
		if err := unix.Flock(fd, unix.LOCK_UN); err != nil {
			t.Errorf("flock: %v", err)
		}
		for _, cmd := range []int{unix.F_SETLK, unix.F_OFD_SETLK} {
			if err := unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: unix.F_RDLCK, Len: 10}); err != nil {
				t.Errorf("a lock for reading: %v", err)
			}
			if err := unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: unix.F_WRLCK}); !errors.Is(err, unix.EBADF) {
				t.Errorf("a lock for writing of what is open for reading: %v", err)
			}
			if err := unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: unix.F_UNLCK}); err != nil {
				t.Errorf("unlocking: %v", err)
			}
		}
	})
	each("sync, advice, ioctl", func(t *testing.T, fd int, want string) {
		if err := errors.Join(unix.Fsync(fd), unix.Fdatasync(fd), unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL), unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED)); err != nil {
			t.Error(err)
		}
		if _, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil || errors.Is(err, unix.EIO) {
			t.Errorf("FS_IOC_GETFLAGS: %v", err)
		}
	})
	each("O_PATH", func(t *testing.T, fd int, want string) {
		path, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_PATH, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(path)
		var st unix.Stat_t
		if err := unix.Fstat(path, &st); err != nil || st.Size != int64(len(want)) {
			t.Errorf("%+v, %v", st, err)
		}
		if _, err := unix.Read(path, make([]byte, 1)); !errors.Is(err, unix.EBADF) {
			t.Errorf("reading: %v", err)
		}
	})
	each("splice", func(t *testing.T, fd int, want string) {
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		for n := 1; n > 0; {
			if n, err = unix.Sendfile(int(out.Fd()), fd, nil, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		if got := mustRead(t, out.Name()); got != want {
			t.Errorf("sendfile copies %d bytes of %d", len(got), len(want))
		}
	})
	t.Run("cp", func(t *testing.T) {
		for i, flags := range [][]string{{"--sparse=always"}, {"--reflink=auto"}, {"-a", "--sparse=never"}} {
			out := filepath.Join(t.TempDir(), fmt.Sprint(i))
			output(t, "cp", append(append([]string{"-r"}, flags...), dir, out)...)
			for file, want := range contents {
				if mustRead(t, filepath.Join(out, file)) != want {
					t.Errorf("cp %s: %s has other bytes", flags, file)
				}
			}
		}
		if out, err := exec.Command("cp", "--reflink=always", filepath.Join(dir, "1."), t.TempDir()).CombinedOutput(); err == nil {
			t.Errorf("cp --reflink=always shares blocks with another file system: %s", out)
		}
	})
	t.Run("inotify", func(t *testing.T) {
		fd, err := unix.InotifyInit1(unix.IN_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for _, path := range []string{dir, filepath.Join(dir, "1."), m.path("brong")} {
			if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ALL_EVENTS); err != nil {
				t.Error(err)
			}
		}
		mustRead(t, filepath.Join(dir, "1."))
		if n, err := unix.Read(fd, make([]byte, 4096)); err != nil || n == 0 {
			t.Errorf("of what a program reads nothing is told: %v", err)
		}
	})
	if log := m.log.String(); log != "" {
		t.Errorf("the log:\n%s", log)
	}
}

// cut is what a read of size bytes at off returns; a negative off stands for 0.
func cut(s string, off int64, size int) string {
	from := min(max(off, 0), int64(len(s)))
	return s[from:min(from+int64(size), int64(len(s)))]
}

// aligned is a buffer that O_DIRECT takes.
func aligned(size int) []byte {
	buf := make([]byte, size+4096)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(buf)))) & 4095
	runtime.KeepAlive(buf)
	return buf[skip : skip+size]
}

// mustForget makes the kernel forget the pages of a file, so that it asks for them.
func mustForget(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

// TestOthers: the kernel grants by mode and owner, for each who comes.
func TestOthers(t *testing.T) {
	x := newFixture(t)
	for _, r := range days("brong") {
		x.run(r)
	}
	const owner, member, stranger = "--reuid=4001 --regid=4001", "--reuid=4002 --regid=4010", "--reuid=4003 --regid=4003"
	for options, allowed := range map[string][]string{
		"allow_other,uid=4001,gid=4010":           {owner},
		"allow_other,uid=4001,gid=4010,umask=027": {owner, member},
		"allow_other,uid=4001,gid=4010,umask=022": {owner, member, stranger},
		"uid=4001,gid=4010,umask=000":             {},
	} {
		m := x.mount(options)
		if err := os.Chmod(filepath.Dir(m.dir), 0o755); err != nil { // that of the test
			t.Fatal(err)
		}
		for _, who := range []string{owner, member, stranger} {
			want := strings.Contains(strings.Join(allowed, ","), who)
			words := append(strings.Fields(who), "--clear-groups", "sh", "-c", `test -r "$0" && test ! -w "$0" && test ! -x "$0" && cat "$0" && ls -l "$1"`,
				m.path("brong/latest/INBOX/1."), m.path("brong/latest/"))
			out, err := exec.Command("setpriv", words...).CombinedOutput()
			if (err == nil) != want {
				t.Errorf("-o %s: %s may read: %v, want %v\n%.300s", options, who, err == nil, want, out)
			}
		}
		m.end(unix.SIGTERM)
	}
}
