package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"backupd": main})
}

// TestScripts runs testdata/script/VERB.txt. Their own commands:
//
//	exits CODE COMMAND...     runs a command that must end with CODE
//	spool DIR                 makes the configuration and the empty spool of a server in DIR
//	mail DIR MAILBOX TEXT     appends a message to a mailbox of that spool (user/brong/Work), and makes the mailbox if need be
//	expunge DIR MAILBOX UID   expunges one, with its file
//	flag DIR MAILBOX UID      makes one flagged and unseen
//	flip GLOB PERCENT         spoils a byte of the file, so far into it
//	cut GLOB BYTES            takes bytes off the end of the file
//	mount DIR SIZE            mounts an empty file system of so many bytes there, until the script ends
//	quota DIR SIZE            mounts a file system there that has a quota of so many bytes, for root, too
//	fill FILE KIB             fills the file system with it, but for so much
//	hold GLOB                 locks the file until the script ends
//	ask SOCKET FILE REPLY     sends the file to a server that starts or runs, and writes what it answers
//	relay FROM TO BYTES       makes the socket FROM lead to the socket TO, until so many bytes came back; then nobody is there
//
// $NOISE is a text that no compression makes smaller than 8 KiB.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			noise := make([]byte, 8<<10)
			_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
			env.Setenv("NOISE", hex.EncodeToString(noise))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "spool": spool, "mail": mail, "expunge": expunge, "flag": flag, "flip": flip, "cut": cut, "hold": hold, "ask": ask,
			"relay": relay, "mount": mount, "quota": quota, "fill": fill,
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// checker ends a test, or a script, at an error.
type checker interface{ Check(err error) }

func spool(ts *testscript.TestScript, _ bool, args []string) { makeSpool(ts, ts.MkAbs(args[0])) }

func makeSpool(c checker, dir string) {
	for _, sub := range []string{"conf/lock", "spool"} {
		c.Check(os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	// Locks are made as the user who owns their folder, and who is not root.
	server, err := user.Lookup("nobody")
	c.Check(err)
	uid, err := strconv.Atoi(server.Uid)
	c.Check(err)
	c.Check(os.Chown(filepath.Join(dir, "conf/lock"), uid, -1))
	for up := dir; up != filepath.Clean(os.TempDir()) && up != "/"; up = filepath.Dir(up) {
		c.Check(os.Chmod(up, 0o755))
	}
	// As there is of each server. That it has no mailbox sends whoever asks it to the spool.
	c.Check(os.WriteFile(filepath.Join(dir, "conf/mailboxes.db"), nil, 0o644))
	conf := fmt.Sprintf("servername: imap.example.com\nconfigdirectory: %s/conf\npartition-default: %s/spool\n", dir, dir)
	c.Check(os.WriteFile(filepath.Join(dir, "imapd.conf"), []byte(conf), 0o644))
}

func mail(ts *testscript.TestScript, _ bool, args []string) {
	deliver(ts, filepath.Join(ts.MkAbs(args[0]), "spool", args[1]), fmt.Sprintf("%.8x", sha1.Sum([]byte(args[1]))), "$Work", args[2]+"\r\n")
}

// deliver appends a message to the mailbox in dir, which is made if need be.
func deliver(c checker, dir, uniqueid, keyword, text string) {
	c.Check(os.MkdirAll(dir, 0o755))
	header := []byte("\xa1\x02\x8b\x0dCyrus mailbox header\n\"One\"\n\tTwo\n\t" + uniqueid + "\n" + keyword + "\nbrong\tlrs\t\n")
	c.Check(os.WriteFile(filepath.Join(dir, "cyrus.header"), header, 0o644))
	change(c, dir, func(ix *cyrus.Index) {
		ix.LastUID++
		ix.Exists++
		ix.HeaderFileCRC = crc32.ChecksumIEEE(header)
		ix.Records = append(ix.Records, cyrus.Record{
			UID: ix.LastUID, InternalDate: 1254175711, Size: uint64(len(text)), GUID: sha1.Sum([]byte(text)), Modseq: uint64(ix.LastUID),
			SystemFlags: cyrus.FlagSeen, UserFlags: [4]uint32{1},
		})
		c.Check(os.WriteFile(filepath.Join(dir, fmt.Sprint(ix.LastUID)+"."), []byte(text), 0o644))
	})
}

func expunge(ts *testscript.TestScript, _ bool, args []string) {
	dir := filepath.Join(ts.MkAbs(args[0]), "spool", args[1])
	change(ts, dir, func(ix *cyrus.Index) {
		for i := range ix.Records {
			if r := &ix.Records[i]; fmt.Sprint(r.UID) == args[2] {
				r.SystemFlags |= cyrus.FlagExpunged | cyrus.FlagUnlinked
				ix.Exists--
			}
		}
	})
	ts.Check(os.Remove(filepath.Join(dir, args[2]+".")))
}

func flag(ts *testscript.TestScript, _ bool, args []string) {
	change(ts, filepath.Join(ts.MkAbs(args[0]), "spool", args[1]), func(ix *cyrus.Index) {
		for i := range ix.Records {
			if r := &ix.Records[i]; fmt.Sprint(r.UID) == args[2] {
				r.SystemFlags = r.SystemFlags&^cyrus.FlagSeen | cyrus.FlagFlagged
			}
		}
	})
}

// change rewrites a mailbox's cyrus.index.
func change(c checker, dir string, f func(*cyrus.Index)) {
	path := filepath.Join(dir, "cyrus.index")
	ix := &cyrus.Index{Version: 17, UIDValidity: 1254175711, HighestModseq: 7}
	b, err := os.ReadFile(path)
	if err == nil {
		ix, err = cyrus.ParseIndex(b)
		c.Check(err)
	}
	f(ix)
	b, err = ix.Marshal()
	c.Check(err)
	c.Check(os.WriteFile(path, b, 0o644))
}

func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := one(ts, args[0])
	percent, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)*percent/100] ^= 0x55
	ts.Check(os.WriteFile(path, b, 0o600))
}

func cut(ts *testscript.TestScript, _ bool, args []string) {
	path := one(ts, args[0])
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	info, err := os.Stat(path)
	ts.Check(err)
	ts.Check(os.Truncate(path, info.Size()-n))
}

func mount(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+args[1]))
	ts.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// quota makes a btrfs, whose limits are of subvolumes: those of users need what not each kernel has, and root is above them.
func quota(ts *testscript.TestScript, _ bool, args []string) {
	top, image := ts.MkAbs(args[0])+".btrfs", ts.MkAbs(args[0])+".image"
	ts.Check(os.Mkdir(top, 0o700))
	ts.Check(os.WriteFile(image, nil, 0o600))
	ts.Check(os.Truncate(image, 128<<20))
	ts.Check(ts.Exec("mkfs.btrfs", "-q", image))
	ts.Check(ts.Exec("mount", "-o", "loop", image, top))
	ts.Defer(func() { _ = unix.Unmount(top, unix.MNT_DETACH) })
	ts.Check(ts.Exec("btrfs", "quota", "enable", top))
	ts.Check(ts.Exec("btrfs", "subvolume", "create", filepath.Join(top, "store")))
	ts.Check(ts.Exec("btrfs", "qgroup", "limit", args[1], filepath.Join(top, "store")))
	ts.Check(os.Symlink(filepath.Join(top, "store"), ts.MkAbs(args[0])))
}

func fill(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	spare, err := strconv.Atoi(args[1])
	ts.Check(err)
	var st unix.Statfs_t
	ts.Check(unix.Statfs(filepath.Dir(path), &st))
	f, err := os.Create(path)
	ts.Check(err)
	ts.Check(unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-int64(spare)<<10))
	ts.Check(f.Close())
}

func hold(ts *testscript.TestScript, _ bool, args []string) {
	release, err := lock.File(one(ts, args[0]))
	ts.Check(err)
	ts.Defer(func() { _ = release() })
}

func ask(ts *testscript.TestScript, _ bool, args []string) {
	var c net.Conn
	var err error
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if c, err = net.Dial("unix", ts.MkAbs(args[0])); err == nil || time.Now().After(deadline) {
			break
		}
	}
	ts.Check(err)
	defer c.Close()
	_, err = c.Write([]byte(ts.ReadFile(args[1])))
	ts.Check(err)
	ts.Check(c.(*net.UnixConn).CloseWrite())
	reply, err := io.ReadAll(c)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), reply, 0o644))
}

func relay(ts *testscript.TestScript, _ bool, args []string) {
	from, to := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	left, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	ln, err := net.Listen("unix", from)
	ts.Check(err)
	var g errgroup.Group
	ts.Defer(func() { _, _ = ln.Close(), g.Wait() })
	g.Go(func() error { // one connection after another
		for left > 0 {
			c, err := ln.Accept()
			if err != nil {
				return err
			}
			server, err := net.Dial("unix", to)
			if err != nil {
				return errors.Join(err, c.Close())
			}
			g.Go(func() error { _, err := io.Copy(server, c); return errors.Join(err, server.Close()) })
			n, _ := io.CopyN(c, server, left)
			left -= n
			_ = c.Close()
		}
		return ln.Close()
	})
}

func one(ts *testscript.TestScript, glob string) string {
	paths, err := filepath.Glob(ts.MkAbs(glob))
	ts.Check(err)
	if len(paths) != 1 {
		ts.Fatalf("%s: %d files", glob, len(paths))
	}
	return paths[0]
}

// TestHelp: every verb explains itself, with an example and its exit status, and docs/cli.md is what they say.
func TestHelp(t *testing.T) {
	root := newRoot()
	for _, cmd := range append(root.Commands(), newAgentKeygen()) {
		if cmd.Hidden {
			continue
		}
		if cmd.Example == "" || !bytes.Contains([]byte(cmd.Long), []byte("Exit status: 0")) {
			t.Errorf("%s: no example or no exit status", cmd.Name())
		}
	}
	var b bytes.Buffer
	if err := runGendoc(root, &b); err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(docs, b.Bytes()) {
		t.Error("docs/cli.md differs: make docs")
	}
}
