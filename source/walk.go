package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"backupfs/cyrus"
)

const headerFile = "cyrus.header"

// walk lists the mailboxes that have a cyrus.header in the spool, in all partitions. In the layout by UniqueID the name is in
// the header, in the layout by name it is the path.
//
// It cannot know what only mailboxes.db tells: which of two folders with one UniqueID counts, and that a mailbox whose files
// are still there was deleted. A mailbox that cannot be named is a problem; a partition that cannot be read is an error, since
// all its mailboxes would seem to be deleted.
func (l *Local) walk(ctx context.Context, boxes *[]cyrus.Mailbox) (problems []error, err error) {
	seen := map[string]string{}
	for _, partition := range l.conf.Partitions() {
		root, err := l.headerRoot(partition)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			rel := strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) && rel != "" {
					return nil // gone meanwhile
				}
				return err
			}
			_, byID := cyrus.UniqueIDFromPath(rel)
			if d.IsDir() != byID || !byID && d.Name() != headerFile {
				return nil
			}
			dir, header := filepath.Dir(rel), path
			after := error(nil)
			if byID { // without listing its messages
				dir, header, after = rel, filepath.Join(path, headerFile), fs.SkipDir
			}
			m, err := l.mailboxAt(dir, header, byID)
			if errors.Is(err, fs.ErrNotExist) {
				return after
			}
			if other := seen[m.UniqueID]; err == nil && m.UniqueID != "" && other != "" {
				err = fmt.Errorf("has the UniqueID of %s", other)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", header, err))
				return after
			}
			m.Partition = partition
			seen[m.UniqueID] = header
			*boxes = append(*boxes, m)
			return after
		})
		if err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// headerRoot is the folder below which a partition's cyrus.header files lie: the partition, or its metapartition.
func (l *Local) headerRoot(partition string) (string, error) {
	m := cyrus.Mailbox{Name: "x", Partition: partition, Legacy: true}
	p, err := l.conf.Paths(m)
	if err != nil {
		return "", err
	}
	tail := strings.TrimPrefix(p.Data, filepath.Clean(l.conf.Get("partition-"+partition)))
	return strings.TrimSuffix(filepath.Dir(p.Header), tail), nil
}

// mailboxAt is the mailbox in the folder dir below a partition. Its path must be where the server would look for it.
func (l *Local) mailboxAt(dir, header string, byID bool) (cyrus.Mailbox, error) {
	b, err := os.ReadFile(header)
	if err != nil {
		return cyrus.Mailbox{}, err
	}
	h, parseErr := cyrus.ParseHeader(b)
	if byID {
		if parseErr != nil {
			return cyrus.Mailbox{}, parseErr
		}
		id, _ := cyrus.UniqueIDFromPath(dir)
		if h.UniqueID != id || h.Name == "" {
			return cyrus.Mailbox{}, fmt.Errorf("says UniqueID %q and name %q", h.UniqueID, h.Name)
		}
		return cyrus.Mailbox{Name: cyrus.Name(h.Name), UniqueID: id}, nil
	}
	name, err := l.conf.NameFromPath(dir)
	if err != nil {
		return cyrus.Mailbox{}, err
	}
	m := cyrus.Mailbox{Name: name, Legacy: true}
	if parseErr == nil { // else Fetch says so, of a mailbox that has a name
		m.UniqueID = h.UniqueID
	}
	return m, nil
}
