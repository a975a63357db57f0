package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/durable"
	"backupfs/internal/store"
)

// rewrite is a new archive of a user's mail that is to take the place of an old one: it is made in a folder of its own, proven, and put
// there by one rename. The user's lock is held all the time.
type rewrite struct {
	user   store.User
	old    string // path of the old archive; empty if it is gone
	dir    string
	number time.Time
	app    *archive.Appender
	begun  bool // the new archive may have its name, and the old one must go: dir says so
}

func rewriteDir(u store.User) string { return filepath.Join(u.Dir, "rewrite") }

// newRewrite makes the folder, and takes away what an earlier one left that did not end. The new archive is named by the time at which its first
// run began, or the next one at which it counts.
func newRewrite(u store.User, old string, first time.Time, opts archive.AppendOptions) (*rewrite, error) {
	rw := &rewrite{user: u, old: old, dir: rewriteDir(u), number: first}
	if n, ok := store.ArchiveTime(filepath.Base(old)); ok && n >= rw.number.Unix() {
		rw.number = time.Unix(n+1, 0) // the newest counts
	}
	if err := os.RemoveAll(rw.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(rw.dir, 0o700); err != nil {
		return nil, err
	}
	opts.SyncLater = true
	var err error
	if rw.app, err = archive.Create(rw.dir, rw.number, opts); err != nil {
		rw.close()
		return nil, err
	}
	return rw, nil
}

func (rw *rewrite) close() {
	if rw.app != nil {
		_ = rw.app.Close()
	}
	if !rw.begun {
		_ = os.RemoveAll(rw.dir) // else the next one does
	}
}

func (rw *rewrite) index() string { return filepath.Join(rw.dir, "index.sqlite3") }

// path is the new archive's, once it is in its place.
func (rw *rewrite) path() string { return filepath.Join(rw.user.Dir, filepath.Base(rw.app.Path())) }

// file adds a file that was made for a run.
func (rw *rewrite) file(name string, data []byte, run index.Run) error {
	sum := sha1.Sum(data)
	_, err := rw.app.Add(archive.Entry{Name: name, Linkname: hex.EncodeToString(sum[:]), Type: archive.TypeFile,
		Size: int64(len(data)), Mtime: run.Begun.Unix()}, bytes.NewReader(data))
	return err
}

// finish makes the new archive durable, and proves it: every byte of it, and what same says of its index.
func (rw *rewrite) finish(ctx context.Context, progress func(done, total int64), same func(now *index.Index) error) error {
	if err := rw.app.Sync(); err != nil {
		return err
	}
	if err := rw.app.Close(); err != nil {
		return err
	}
	a, err := archive.Open(rw.app.Path())
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	end, err := a.Complete(archive.Position{})
	if err != nil {
		return err
	}
	if size, err := a.Size(); err != nil || size != end.File {
		return errors.Join(err, fmt.Errorf("%s: it ends at %d, and its last run at %d", a.Path(), size, end.File))
	}
	v := newVerifier()
	if err := v.scan(ctx, a, end, progress); err != nil {
		return err
	}
	if len(v.bad) > 0 {
		return fmt.Errorf("the new archive cannot be read back: %w", v.bad[0].err)
	}
	if err := index.Rebuild(ctx, a.Path(), rw.index(), nil); err != nil {
		return err
	}
	now, err := index.OpenRead(rw.index())
	if err != nil {
		return err
	}
	defer func() { _ = now.Close() }()
	if err := same(now); err != nil {
		return fmt.Errorf("the new archive differs from the old one: %w", err)
	}
	return nil
}

// place gives the new archive its name and its index.
func (rw *rewrite) place() error {
	// 1. The new archive gets its name, which is the newest: from here on it counts. A crash before leaves a folder that the next
	//    rewrite removes.
	if err := durable.Rename(rw.app.Path(), rw.path()); err != nil {
		return err
	}
	// 2. Its index. A crash before leaves that of the old archive: the next run makes it anew.
	return index.Install(rw.index(), rw.user.Index())
}

// instead puts the new archive in the place of a damaged one, and says where that is now.
func (rw *rewrite) instead() (aside string, err error) {
	if err := rw.place(); err != nil || rw.old == "" {
		return "", err
	}
	// 3. The old one gets out of the way. A crash before leaves it under its name, which counts no more.
	aside = fmt.Sprintf("%s%s%d", rw.old, asideMark, time.Now().Unix())
	return aside, durable.Rename(rw.old, aside)
}

// replacesName is what says, in the folder of a rewrite, which archive is to be removed as soon as there is which other.
const replacesName = "replaces"

// replace puts the new archive in the place of the old one, which is removed.
func (rw *rewrite) replace() error {
	// 0. What is to be removed. A crash up to step 1 leaves the old archive, and settle forgets that it was to go.
	rw.begun = true
	names := filepath.Base(rw.old) + " " + filepath.Base(rw.path())
	if err := durable.WriteFile(filepath.Join(rw.dir, replacesName), []byte(names)); err != nil {
		return err
	}
	if err := rw.place(); err != nil {
		return err
	}
	// 3. The old one goes. A crash before leaves it under its name, which counts no more, and settle removes it.
	if err := durable.Remove(rw.old); err != nil {
		return err
	}
	rw.begun = false
	return nil
}

// settle ends what a compaction left that did not end: where the new archive has its name, and is still what it was when it was proven, it
// gets its index, and the old one is removed.
func settle(ctx context.Context, u store.User) error {
	dir := rewriteDir(u)
	b, err := os.ReadFile(filepath.Join(dir, replacesName))
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(dir)
	}
	if err != nil {
		return err
	}
	now, err := u.Archive()
	if err != nil {
		return err
	}
	old, made, _ := strings.Cut(string(b), " ")
	if _, ok := store.ArchiveTime(old); ok && made == filepath.Base(now) && old != made && exists(filepath.Join(u.Dir, old)) {
		report, err := verify(ctx, u, nil)
		if err != nil {
			return err
		}
		if report.Damage() > 0 {
			return fmt.Errorf("%w; what it was made of is still there, as %s", report.Err(), old)
		}
		if report.Index != nil {
			if err := index.Rebuild(ctx, now, u.Index(), nil); err != nil {
				return err
			}
		}
		if err := durable.SyncDir(u.Dir); err != nil { // its name may be in memory only
			return err
		}
		if err := durable.Remove(filepath.Join(u.Dir, old)); err != nil {
			return err
		}
	}
	return os.RemoveAll(dir)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
