package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWritesRefused: every way to write ends in EROFS: because the mount is read-only, and when root remounted it for writing,
// because the program behind it refuses. Nothing changes by it.
func TestWritesRefused(t *testing.T) {
	x := newFixture(t)
	runs := days("brong")
	for _, r := range runs {
		x.run(r)
	}
	m := x.mount("uid=12,gid=34,umask=000")
	date := m.path("brong/2009-09-28")
	dir := filepath.Join(date, "INBOX")
	file, empty, fresh, link := filepath.Join(dir, "1."), filepath.Join(dir, "v1^2 notes"), filepath.Join(dir, "new"), m.path("brong/latest")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// opened does something with a file that is open.
	opened := func(path string, flags int, do func(fd int) error) func() error {
		return func() error {
			fd, err := unix.Open(path, flags, 0o600)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			return do(fd)
		}
	}
	now := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	writes := map[string]func() error{
		"write": opened(file, unix.O_WRONLY, func(fd int) error { _, err := unix.Write(fd, []byte("x")); return err }),
		"write behind the end": opened(file, unix.O_RDWR|unix.O_APPEND, func(fd int) error {
			_, err := unix.Write(fd, []byte("x"))
			return err
		}),
		"pwrite, direct": opened(file, unix.O_WRONLY|unix.O_DIRECT, func(fd int) error { _, err := unix.Pwrite(fd, make([]byte, 4096), 0); return err }),
		"O_TRUNC":        opened(file, unix.O_WRONLY|unix.O_TRUNC, func(int) error { return nil }),
		"O_CREAT":        opened(fresh, unix.O_RDONLY|unix.O_CREAT, func(int) error { return nil }),
		"O_TMPFILE":      opened(dir, unix.O_TMPFILE|unix.O_RDWR, func(int) error { return nil }),
		"ftruncate":      opened(file, unix.O_RDWR, func(fd int) error { return unix.Ftruncate(fd, 0) }),
		"fallocate":      opened(file, unix.O_RDWR, func(fd int) error { return unix.Fallocate(fd, 0, 0, 1<<20) }),
		"punch a hole": opened(file, unix.O_RDWR, func(fd int) error {
			return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 512)
		}),
		"copy_file_range": opened(file, unix.O_RDONLY, func(from int) error {
			return opened(filepath.Join(dir, "14."), unix.O_WRONLY, func(to int) error {
				_, err := unix.CopyFileRange(from, nil, to, nil, 100, 0)
				return err
			})()
		}),
		"fchmod":       opened(file, unix.O_RDONLY, func(fd int) error { return unix.Fchmod(fd, 0o777) }),
		"fchown":       opened(file, unix.O_RDONLY, func(fd int) error { return unix.Fchown(fd, 0, 0) }),
		"truncate":     func() error { return unix.Truncate(file, 0) },
		"truncate up":  func() error { return unix.Truncate(file, 1<<30) },
		"mkdir":        func() error { return unix.Mkdir(fresh, 0o700) },
		"mkdir, user":  func() error { return unix.Mkdir(m.path("cassandane"), 0o700) },
		"mkdir, date":  func() error { return unix.Mkdir(m.path("brong/2009-09-29"), 0o700) },
		"mknod":        func() error { return unix.Mknod(fresh, unix.S_IFREG|0o600, 0) },
		"mkfifo":       func() error { return unix.Mkfifo(fresh, 0o600) },
		"symlink":      func() error { return unix.Symlink("1.", fresh) },
		"link":         func() error { return unix.Link(file, fresh) },
		"rename":       func() error { return unix.Rename(file, fresh) },
		"rename, over": func() error { return unix.Rename(file, filepath.Join(dir, "14.")) },
		"rename, date": func() error { return unix.Rename(date, date+"x") },
		"exchange": func() error {
			return unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, filepath.Join(dir, "14."), unix.RENAME_EXCHANGE)
		},
		"unlink":        func() error { return unix.Unlink(file) },
		"unlink, link":  func() error { return unix.Unlink(link) },
		"rmdir":         func() error { return unix.Rmdir(empty) },
		"rmdir, date":   func() error { return unix.Rmdir(date) },
		"rmdir, user":   func() error { return unix.Rmdir(m.path("brong")) },
		"chmod":         func() error { return unix.Chmod(file, 0o777) },
		"chmod, top":    func() error { return unix.Chmod(m.dir, 0o777) },
		"chown":         func() error { return unix.Chown(file, 0, 0) },
		"lchown":        func() error { return unix.Lchown(link, 0, 0) },
		"utimensat":     func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, file, now, 0) },
		"utimensat, ln": func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, link, now, unix.AT_SYMLINK_NOFOLLOW) },
		"setxattr":      func() error { return unix.Setxattr(file, "user.cyrus.guid", []byte("x"), 0) },
		"setxattr, new": func() error { return unix.Setxattr(date, "user.x", []byte("x"), unix.XATTR_CREATE) },
		"setxattr, acl": func() error { return unix.Setxattr(file, "trusted.x", []byte("x"), 0) },
		"removexattr":   func() error { return unix.Removexattr(file, "user.cyrus.guid") },
	}
	refused := func(t *testing.T) {
		for name, write := range writes {
			if err := write(); !errors.Is(err, unix.EROFS) {
				t.Errorf("%s: %v", name, err)
			}
		}
		mustMatch(t, date, modelOpen(t, runs[2]))
		if log := m.log.String(); log != "" {
			t.Errorf("the log:\n%s", log)
		}
	}
	t.Run("mounted", refused)
	t.Run("what only sounds like writing", func(t *testing.T) {
		for name, c := range map[string]struct {
			flags int
			want  error
		}{
			"O_CREAT of what is there":    {unix.O_RDONLY | unix.O_CREAT, nil},
			"O_EXCL of what is there":     {unix.O_RDONLY | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
			"writing":                     {unix.O_WRONLY, unix.EROFS},
			"reading and writing":         {unix.O_RDWR, unix.EROFS},
			"O_NOATIME":                   {unix.O_RDONLY | unix.O_NOATIME, nil},
			"O_DIRECTORY of a file":       {unix.O_RDONLY | unix.O_DIRECTORY, unix.ENOTDIR},
			"O_PATH, which opens nothing": {unix.O_PATH | unix.O_RDWR, nil},
		} {
			if err := opened(file, c.flags, func(int) error { return nil })(); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
		if err := unix.Access(file, unix.W_OK); !errors.Is(err, unix.EROFS) {
			t.Errorf("access for writing: %v", err)
		}
		if err := opened(dir, unix.O_WRONLY, func(int) error { return nil })(); !errors.Is(err, unix.EISDIR) {
			t.Errorf("writing to a folder: %v", err)
		}
		if err := unix.Rename(outside, fresh); !errors.Is(err, unix.EXDEV) {
			t.Errorf("renaming from another file system: %v", err)
		}
	})
	t.Run("remounted for writing", func(t *testing.T) {
		if err := unix.Mount("", m.dir, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			t.Fatal(err)
		}
		refused(t)
	})
}
