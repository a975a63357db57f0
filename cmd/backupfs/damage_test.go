package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// TestDamage: one flipped byte costs the files that do not come out of its gzip member any more, mostly one, and nothing else, whatever is read ahead:
// they cannot be read, all others have the right bytes, and each is named in the log once, however often and at how many dates it is asked for.
func TestDamage(t *testing.T) {
	x := newFixture(t)
	var wantBroken, wantLogged []string
	metas := 0
	contents := map[string]string{} // by path below the mount
	for i, where := range []string{"INBOX/1.", "INBOX/b/25.", "INBOX/b/39.", "INBOX/c/2.", "INBOX/c/21.", "INBOX/b/1.", "INBOX/c/cyrus.index"} {
		user := fmt.Sprint("user", i)
		r := indextest.Run{User: user, Begun: mustDay("2009-09-28T11:05")}
		for j, name := range []string{"INBOX", "INBOX.b", "INBOX.c"} {
			f := indextest.Folder{UniqueID: name, Name: name}
			for k := range 40 {
				f.Messages = append(f.Messages, message(uint32(k+1), 1000*i+100*j+k, 100+k*k*17%30_000))
			}
			if j == 2 {
				f.Messages[20] = message(21, 1000*i+999, 700_000) // in several members
			}
			r.Folders = append(r.Folders, f)
		}
		x.run(r)
		next := r
		next.Begun, next.Seen = mustDay("2009-09-29T11:05"), "seen"
		x.run(next)
		for path, w := range model(t, r, false) {
			if w.mode.IsRegular() {
				contents[user+"/2009-09-28/"+path], contents[user+"/2009-09-29/"+path] = w.content, w.content
			}
		}
		contents[user+"/2009-09-29/.meta/seen"] = "seen"
		for _, path := range flip(x, user, where, i == 5) {
			wantBroken = append(wantBroken, user+"/2009-09-28/"+path, user+"/2009-09-29/"+path)
			if !strings.HasSuffix(path, ".") {
				metas++
				continue
			}
			folder, uid := filepath.Split(strings.TrimSuffix(path, "."))
			wantLogged = append(wantLogged, fmt.Sprintf("user %s, DATE, %q, message %s,", user, strings.TrimSuffix(folder, "/"), uid))
		}
	}
	slices.Sort(wantBroken)
	if n := len(wantLogged); n < 6 || n > 150 || metas == 0 {
		t.Fatalf("%d messages are hit, and %d other files", n, metas)
	}

	for _, options := range []string{"cache=1M", "cache=1M,flags"} {
		t.Run(options, func(t *testing.T) {
			m := x.mount(options)
			t.Run("grep", func(t *testing.T) {
				cmd := exec.Command("grep", "-rc", "--include=*.", "--exclude-dir=all", "^Subject: message", ".")
				cmd.Dir = m.dir
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				_ = cmd.Run() // it ends with 2
				found := strings.Count(stdout.String(), ".:1\n")
				var broken []string
				for line := range strings.Lines(stderr.String()) {
					path, is := strings.CutSuffix(strings.TrimPrefix(line, "grep: ./"), ": Input/output error\n")
					if !is {
						t.Errorf("grep says: %s", line)
					}
					broken = append(broken, path)
				}
				slices.Sort(broken)
				want := slices.DeleteFunc(slices.Clone(wantBroken), func(path string) bool { return !strings.HasSuffix(path, ".") })
				if !slices.Equal(broken, want) {
					t.Errorf("grep cannot read %q, want %q", broken, want)
				}
				// Of one that is damaged behind its start, grep counts what it could read.
				if all := 7 * 2 * 3 * 40; found < all-len(want) || strings.Count(stdout.String(), "\n") > all {
					t.Errorf("grep finds %d of %d", found, all)
				}
			})
			for _, order := range []string{"forward", "backward", "at random"} {
				t.Run(order, func(t *testing.T) {
					paths := slices.Collect(maps.Keys(contents)) // at random
					switch order {
					case "forward":
						paths = mustWalk(t, m.dir)
					case "backward":
						slices.SortFunc(paths, func(a, b string) int { return strings.Compare(b, a) })
					}
					broken := []string{}
					for _, path := range paths {
						got, err := os.ReadFile(m.path(path))
						switch want, known := contents[path]; {
						case errors.Is(err, unix.EIO):
							broken = append(broken, path)
						case err != nil || !known || string(got) != want:
							t.Errorf("%s: %d bytes, %v, want %d", path, len(got), err, len(want))
						}
					}
					slices.Sort(broken)
					if !slices.Equal(broken, wantBroken) || len(paths) != len(contents) {
						t.Errorf("of %d files cannot be read %q, want of %d %q", len(paths), broken, len(contents), wantBroken)
					}
				})
			}
			log := strings.NewReplacer("2009-09-28", "DATE", "2009-09-29", "DATE").Replace(m.log.String())
			for _, what := range wantLogged {
				if n := strings.Count(log, what); n != 1 {
					t.Errorf("the log has %d times %q", n, what)
				}
			}
			if n := strings.Count(log, "\n"); n != len(wantLogged)+metas {
				t.Errorf("the log has %d lines, for %d messages and %d other files:\n%s", n, len(wantLogged), metas, log)
			}
			m.end(syscall.SIGTERM)
		})
	}
	for user := range x.writers { // they do not fit the archives any more
		if err := os.Remove(x.user(user).Index()); err != nil {
			t.Error(err)
		}
	}
}

// mustWalk lists all files of all dates below a mount in the order in which programs walk.
func mustWalk(t *testing.T, dir string) (paths []string) {
	t.Helper()
	out := output(t, "find", dir, "-name", "all", "-prune", "-o", "-type", "f", "-printf", "%P\n")
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// flip flips a byte in a file, in the member in which that begins: nothing before it is hit. If last is set, it is done to the last message that begins
// in that member. It returns the paths of all files that do not come out any more as they were.
func flip(x *fixture, user, file string, last bool) (paths []string) {
	x.t.Helper()
	ix, err := index.OpenRead(x.user(user).Index())
	if err != nil {
		x.t.Fatal(err)
	}
	defer ix.Close()
	folders, err := ix.Folders(1)
	if err != nil {
		x.t.Fatal(err)
	}
	places := map[string][2]int64{} // where in the tar it begins and ends
	for _, f := range folders {
		for m, err := range ix.Messages(f.ID, 1) {
			if err != nil {
				x.t.Fatal(err)
			}
			places[fmt.Sprintf("%s/%d.", strings.Join(f.Path, "/"), m.UID)] = [2]int64{m.Tar, m.Tar + m.Size}
		}
		metas, err := ix.Metas(f.ID, 1)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, m := range metas {
			if m.Name != "cyrus.backupfs" { // is not shown
				places[strings.Join(f.Path, "/")+"/"+m.Name] = [2]int64{m.Tar, m.Tar + m.Size}
			}
		}
	}
	in, err := ix.Member(places[file][0])
	if err != nil || in.TarSize > archive.MemberSize {
		x.t.Fatalf("%s is in %+v, %v", file, in, err)
	}
	for path, place := range places {
		if last && strings.HasSuffix(path, ".") && place[0] > places[file][0] && place[0] < in.End().Tar {
			file = path
		}
	}
	path := x.writers[user].Path()
	whole, err := os.ReadFile(path)
	if err != nil {
		x.t.Fatal(err)
	}
	spoilt := indextest.Flip(x.t, whole, in, places[file][0], min(places[file][1], in.End().Tar))
	if err := os.WriteFile(path, spoilt, 0o600); err != nil {
		x.t.Fatal(err)
	}
	hit, spared := indextest.Hit(whole, spoilt, in), 0
	for path, place := range places {
		switch {
		case hit(place[0], place[1]):
			paths = append(paths, path)
		case place[0] < in.End().Tar && place[1] > in.Tar:
			spared++
		}
	}
	if last && spared < 5 {
		x.t.Fatalf("only %d files share the member with %s", spared, file)
	}
	return paths
}
