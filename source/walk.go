package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
)

const (
	headerFile = "cyrus.header"
	indexFile  = "cyrus.index"
)

// walk lists the mailboxes that have a cyrus.header in the spool, in all partitions. In the layout by UniqueID the name is in
// the header. In the layout by name it is the path: the header keeps the name of before a RENAME or a delayed DELETE.
//
// It cannot know what only mailboxes.db tells: which of two folders with one UniqueID counts, and that a mailbox whose files
// are still there was deleted. A mailbox that cannot be named is a problem, and so is a partition that is empty (it
// may not be mounted); one that cannot be read is an error, since all its mailboxes would seem to be deleted.
func (l *Local) walk(ctx context.Context) (boxes []cyrus.Mailbox, problems []problem, err error) {
	w := spoolWalk{conf: l.conf, byID: map[string]int{}}
	for _, partition := range l.conf.Partitions() {
		root, err := l.headerRoot(partition)
		if err != nil {
			return nil, nil, err
		}
		if some, err := hasEntries(root); err == nil && !some {
			w.problems = append(w.problems, problem{err: notEmpty(partition, root)})
			continue
		}
		if err := w.partition(ctx, partition, root); err != nil {
			return nil, nil, err
		}
	}
	if err := w.headless(ctx); err != nil {
		return nil, nil, err
	}
	for _, f := range w.found {
		boxes = append(boxes, f.mailbox)
	}
	return boxes, w.problems, nil
}

// headerRoot is the folder below which a partition's cyrus.header files lie: the partition, or its metapartition.
func (l *Local) headerRoot(partition string) (string, error) {
	p, err := l.conf.Paths(cyrus.Mailbox{Name: "x", Partition: partition, Legacy: true})
	if err != nil {
		return "", err
	}
	tail := strings.TrimPrefix(p.Data, filepath.Clean(l.conf.Get("partition-"+partition)))
	return strings.TrimSuffix(filepath.Dir(p.Header), tail), nil
}

type spoolWalk struct {
	conf     *cyrus.Config
	found    []found
	byID     map[string]int // index in found
	noHeader []orphan
	problems []problem
	counted  uint64 // device of the partition, if its file system counts the folders in a folder; else 0
}

// orphan is a folder that should have a cyrus.header.
type orphan struct {
	user          string // empty if that cannot be known
	header, index string // paths
}

// found is a mailbox of the spool.
type found struct {
	mailbox cyrus.Mailbox
	header  string // path
	sure    bool   // name and path say the same
}

// partition collects the mailboxes below root.
func (w *spoolWalk) partition(ctx context.Context, partition, root string) error {
	w.counted = countsFolders(root)
	err := w.dir(ctx, partition, root, ".")
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("partition %s: %w", partition, err)
	}
	return err
}

// dir collects the mailboxes in the folder rel below root, those in it in the order of their names.
func (w *spoolWalk) dir(ctx context.Context, partition, root, rel string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(root, rel)
	header := filepath.Join(path, headerFile)
	if _, byID := cyrus.UniqueIDFromPath(rel); byID {
		w.add(partition, rel, header, true)
		return nil // without listing its messages
	}
	if w.leaf(path) && exists(header) {
		w.add(partition, rel, header, false)
		return nil // likewise
	}
	names, err := namesIn(path)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(names, headerFile):
		w.add(partition, rel, header, false)
	case slices.Contains(names, indexFile) && !exists(header):
		w.noHeader = append(w.noHeader, orphan{w.userIn(rel), header, filepath.Join(path, indexFile)})
	}
	for _, name := range names {
		sub := filepath.Join(rel, name)
		st, err := os.Lstat(filepath.Join(root, sub))
		if err == nil && st.IsDir() {
			err = w.dir(ctx, partition, root, sub)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone meanwhile
			return err
		}
	}
	return nil
}

// leaf says that no folder stands in a folder. That it has a header then is all that there is to know of it, however many messages it has.
func (w *spoolWalk) leaf(path string) bool {
	var st unix.Stat_t
	return w.counted != 0 && unix.Lstat(path, &st) == nil && st.Dev == w.counted && st.Nlink == 2
}

// countsFolders returns the device of a file system where a folder's links are its name, its dot, and the dots of the folders in it. Others
// have one link for any folder (btrfs), or say what they like (FUSE, NFS).
func countsFolders(root string) uint64 {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if unix.Statfs(root, &fs) != nil || unix.Lstat(root, &st) != nil {
		return 0
	}
	switch fs.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return st.Dev
	}
	return 0
}

// namesIn lists what is in a folder, sorted, but for message files: there may be a million.
func namesIn(dir string) (names []string, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		some, err := f.Readdirnames(1024)
		for _, name := range some {
			if uid, ok := strings.CutSuffix(name, "."); !ok || strings.Trim(uid, "0123456789") != "" {
				names = append(names, name)
			}
		}
		switch err {
		case nil:
		case io.EOF:
			slices.Sort(names)
			return names, nil
		default:
			return nil, err
		}
	}
}

// headless makes problems of folders that have an index and no header, if that lasts: the server removes the one after the
// other.
func (w *spoolWalk) headless(ctx context.Context) error {
	if len(w.noHeader) == 0 {
		return nil
	}
	if err := whileRemoving(ctx); err != nil {
		return err
	}
	for _, o := range w.noHeader {
		if exists(o.index) && !exists(o.header) {
			w.problems = append(w.problems, problem{o.user, fmt.Errorf("%s: has no %s", o.index, headerFile)})
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// userIn is whose mailbox lies in dir, a path below a partition, in the layout by name.
func (w *spoolWalk) userIn(dir string) string {
	name, err := w.conf.NameFromPath(dir)
	if err != nil {
		return ""
	}
	return userOf(name)
}

// add notes the mailbox in dir, a path below the partition. Of two with one UniqueID that one counts which is surely itself,
// else the first.
func (w *spoolWalk) add(partition, dir, header string, byID bool) {
	f, err := w.mailbox(dir, header, byID)
	if errors.Is(err, fs.ErrNotExist) {
		id, _ := cyrus.UniqueIDFromPath(dir)
		p, err := w.conf.Paths(cyrus.Mailbox{UniqueID: id, Partition: partition})
		if byID && err == nil && exists(p.Index) {
			w.noHeader = append(w.noHeader, orphan{"", header, p.Index})
		}
		return
	}
	if err != nil {
		user := ""
		if !byID {
			user = w.userIn(dir)
		}
		w.problems = append(w.problems, problem{user, fmt.Errorf("%s: %w", header, err)})
		return
	}
	f.mailbox.Partition = partition
	id := f.mailbox.UniqueID
	i, twice := w.byID[id]
	if !twice || id == "" {
		w.byID[id] = len(w.found)
		w.found = append(w.found, f)
		return
	}
	if f.sure && !w.found[i].sure {
		f, w.found[i] = w.found[i], f
	}
	w.problems = append(w.problems, problem{userOf(f.mailbox.Name), fmt.Errorf("%s: has the UniqueID of %s", f.header, w.found[i].header)})
}

func (w *spoolWalk) mailbox(dir, header string, byID bool) (found, error) {
	b, err := os.ReadFile(header)
	if err != nil {
		return found{}, err
	}
	h, parseErr := cyrus.ParseHeader(b)
	if byID {
		if parseErr != nil {
			return found{}, parseErr
		}
		id, _ := cyrus.UniqueIDFromPath(dir)
		if h.UniqueID != id || h.Name == "" {
			return found{}, fmt.Errorf("says UniqueID %q and name %q", h.UniqueID, h.Name)
		}
		return found{cyrus.Mailbox{Name: cyrus.Name(h.Name), UniqueID: id}, header, true}, nil
	}
	name, err := w.conf.NameFromPath(dir)
	if err != nil {
		return found{}, err
	}
	f := found{mailbox: cyrus.Mailbox{Name: name, Legacy: true}, header: header}
	if parseErr == nil { // else Fetch says so, of a mailbox that has a name
		f.mailbox.UniqueID, f.sure = h.UniqueID, h.Name == string(name)
	}
	return f, nil
}
