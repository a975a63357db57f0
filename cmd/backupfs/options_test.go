package main

import (
	"strings"
	"testing"
	"time"

	"backupfs/cmd/internal/cli"
)

func TestOptions(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	o, err := parseOptions([]string{
		"rw,defaults,cache=3M,tz=Europe/Berlin", "uid=1,gid=2,umask=027,expunged,allow_other,cachedir=/c,layout=snapshots,utf8,flags,x-systemd.automount,_netdev,",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := o.fs
	if !o.allowOther || !got.Expunged || !got.Snapshots || !got.UTF8 || !got.Flags || got.UID != 1 || got.GID != 2 || got.Umask != 0o027 ||
		got.CacheBytes != 3<<20 || got.CacheDir != "/c" || got.Location.String() != "Europe/Berlin" {
		t.Errorf("%+v", o)
	}
	if o, err = parseOptions(nil); err != nil {
		t.Fatal(err)
	}
	if o.allowOther || o.fs.Expunged || o.fs.Snapshots || o.fs.UTF8 || o.fs.Flags || o.fs.Umask != 0o077 || o.fs.CacheBytes != 8<<20 || o.fs.Location != time.UTC ||
		o.fs.CacheDir != "/cache/backupfs" {
		t.Errorf("defaults: %+v", o)
	}
}

func TestOptionsRefused(t *testing.T) {
	for _, word := range []string{
		"bogus", "nonempty", "cache", "cache=", "cache=0", "cache=M", "cache=-1M", "cache=99999999999G", "expunged=1", "tz=", "tz=Nowhere/Town",
		"tz=../../etc/passwd", "umask=9", "umask=1777", "uid=no such user", "uid=-1", "gid=4294967296", "cachedir=", "ro=1", "Expunged", "layout=", "layout=dates", "flags=yes",
	} {
		_, err := parseOptions([]string{word})
		if cli.Code(err) != cli.Usage {
			t.Errorf("-o %s: %v, not wrong usage", word, err)
		} else if !strings.Contains(err.Error(), word) {
			t.Errorf("-o %s: %v, which does not name it", word, err)
		}
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]int64{"1": 1, "7k": 7 << 10, "64M": 64 << 20, "2G": 2 << 30, "4294967295G": 4294967295 << 30} {
		if got, ok := parseSize(s); !ok || got != want {
			t.Errorf("%s is %d, %v; want %d", s, got, ok, want)
		}
	}
}

func TestInside(t *testing.T) {
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"/a", "/a", true}, {"/a", "/a/b", true}, {"/", "/a", true}, {"/a", "/ab", false}, {"/a/b", "/a", false},
	} {
		if inside(c.outer, c.inner) != c.want {
			t.Errorf("%s in %s: want %v", c.inner, c.outer, c.want)
		}
	}
}
