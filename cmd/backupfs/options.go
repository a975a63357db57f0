package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // so that tz= works where the system has no zones

	"backupfs/cmd/internal/cli"
	"backupfs/fs"
)

// options are the mount options that mean something to us.
type options struct {
	fs         fs.Options
	allowOther bool
	profile    string // folder for profiles; empty: none, but for who asks
}

// ignored are words of mount(8) that fstab may have, or that mount adds: they are always so, or mean nothing here.
var ignored = map[string]bool{
	"ro": true, "defaults": true, "default_permissions": true, "auto": true, "noauto": true, "user": true, "nouser": true,
	"users": true, "nousers": true, "owner": true, "group": true, "_netdev": true, "nofail": true, "dev": true, "nodev": true,
	"suid": true, "nosuid": true, "exec": true, "noexec": true, "atime": true, "noatime": true, "diratime": true,
	"nodiratime": true, "relatime": true, "norelatime": true, "strictatime": true, "nostrictatime": true, "lazytime": true,
	"nolazytime": true, "async": true, "sync": true, "dirsync": true,
	// mount(8) hands this to every helper; the mount is read-only all the same.
	"rw": true,
}

// parseOptions reads the words of all -o.
func parseOptions(words []string) (options, error) {
	o := options{fs: fs.Options{CacheBytes: 8 << 20, CacheDir: cli.CacheDir(), Location: time.UTC, Umask: 0o077}}
	o.fs.UID, o.fs.GID = defaultOwner()
	for _, word := range strings.Split(strings.Join(words, ","), ",") {
		name, value, hasValue := strings.Cut(word, "=")
		set, known := setters[name]
		switch {
		case word == "" || ignored[word] || strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "comment"):
		case !known:
			return o, cli.WithHint(cli.Usagef("unknown mount option %q", word), "backupfs --help")
		case hasValue != set.value:
			return o, cli.WithHint(cli.Usagef("mount option %q: %s", word, set.want()), "backupfs --help")
		default:
			if !set.apply(&o, value) {
				return o, cli.WithHint(cli.Usagef("mount option %q: cannot be understood", word), "backupfs -o %s", set.example)
			}
		}
	}
	return o, nil
}

// setter takes one option's value.
type setter struct {
	value   bool // it has one
	example string
	apply   func(o *options, value string) bool
}

func (s setter) want() string {
	if s.value {
		return "it needs a value, as " + s.example
	}
	return "it takes no value"
}

var setters = map[string]setter{
	"allow_other": {false, "allow_other", func(o *options, _ string) bool { o.allowOther = true; return true }},
	"expunged":    {false, "expunged", func(o *options, _ string) bool { o.fs.Expunged = true; return true }},
	"flags":       {false, "flags", func(o *options, _ string) bool { o.fs.Flags = true; return true }},
	"layout": {true, "layout=snapshots", func(o *options, v string) bool {
		o.fs.Snapshots = v == "snapshots"
		return o.fs.Snapshots || v == "users"
	}},
	"utf8": {false, "utf8", func(o *options, _ string) bool { o.fs.UTF8 = true; return true }},
	"cache": {true, "cache=8M", func(o *options, v string) (ok bool) {
		o.fs.CacheBytes, ok = parseSize(v)
		return ok
	}},
	"cachedir": {true, "cachedir=/var/cache/backupfs", func(o *options, v string) bool { return setFolder(&o.fs.CacheDir, v) }},
	"profile":  {true, "profile=/tmp/profiles", func(o *options, v string) bool { return setFolder(&o.profile, v) }},
	"tz": {true, "tz=Europe/Berlin", func(o *options, v string) bool {
		zone, err := time.LoadLocation(v)
		o.fs.Location = zone
		return err == nil && v != ""
	}},
	"umask": {true, "umask=077", func(o *options, v string) bool {
		n, err := strconv.ParseUint(v, 8, 32)
		o.fs.Umask = uint32(n)
		return err == nil && n <= 0o777
	}},
	"uid": {true, "uid=cyrus", func(o *options, v string) bool {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			var u *user.User
			if u, err = user.Lookup(v); err == nil {
				n, err = strconv.ParseUint(u.Uid, 10, 32)
			}
		}
		o.fs.UID = uint32(n)
		return err == nil
	}},
	"gid": {true, "gid=mail", func(o *options, v string) bool {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			var g *user.Group
			if g, err = user.LookupGroup(v); err == nil {
				n, err = strconv.ParseUint(g.Gid, 10, 32)
			}
		}
		o.fs.GID = uint32(n)
		return err == nil
	}},
}

// setFolder takes a folder, which may be relative to where the program was started: it does not stay there.
func setFolder(to *string, v string) bool {
	abs, err := filepath.Abs(v)
	*to = abs
	return err == nil && v != ""
}

// parseSize reads a number of bytes, with K, M or G for powers of 1024.
func parseSize(s string) (int64, bool) {
	shift := 0
	if s != "" {
		if i := strings.IndexByte("KMG", s[len(s)-1]&^0x20); i >= 0 {
			shift, s = 10*(i+1), s[:len(s)-1]
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n) << shift, err == nil && n > 0
}

// defaultOwner is Cyrus's user, so that what is copied back fits. Who is not root would not be let in by that.
func defaultOwner() (uid, gid uint32) {
	if u, err := user.Lookup("cyrus"); err == nil && os.Geteuid() == 0 {
		n, err1 := strconv.ParseUint(u.Uid, 10, 32)
		m, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(n), uint32(m)
		}
	}
	return uint32(os.Geteuid()), uint32(os.Getegid())
}
