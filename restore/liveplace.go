package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/lock"
	"backupfs/source"
)

// livePlace is a mailbox that the server has. Messages are written beside its own under names that mean nothing to Cyrus. Then, under the
// locks that imapd takes for APPEND, they get the next UIDs, their annotations, and records with their flags and dates in the index; and
// reconstruct fills the cache.
type livePlace struct {
	spool  *Spool
	folder *Folder
	box    source.Mailbox
	paths  cyrus.Paths
	put    []putMessage
}

type putMessage struct {
	record cyrus.Record
	flags  []string // keywords
	temp   string
	path   string // what it is called in the mailbox, once it is
}

func (p *livePlace) Name() string { return p.spool.src.Config().Admin(p.box.Mailbox.Name) }

func (p *livePlace) Absent() bool { return false }

func (p *livePlace) Has(ctx context.Context) (Held, error) {
	ix, err := readIndex(ctx, p.paths.Index)
	if err != nil {
		return nil, err
	}
	has := map[cyrus.GUID]bool{}
	shown(ix, has)
	return heldIn(has), nil
}

func (p *livePlace) Put(m *Message) error {
	if len(p.put) == 0 {
		// It is not there while all messages are on the archive partition.
		if err := lock.MakeFolder(p.paths.Data, p.spool.owner); err != nil {
			return err
		}
		if err := p.tidy(); err != nil {
			return err
		}
	}
	temp := filepath.Join(p.paths.Data, fmt.Sprintf("backupfs-%d-%d.tmp", os.Getpid(), len(p.put)))
	if err := p.spool.giveMessage(temp, m); err != nil {
		return err
	}
	r := m.Record
	r.SystemFlags = 0
	p.put = append(p.put, putMessage{record: bare(&m.Record), flags: r.FlagNames(p.folder.Header.Flags), temp: temp})
	return nil
}

// tidy removes what processes have left that were killed: those that are no more, and one that had our number.
func (p *livePlace) tidy() error {
	entries, err := os.ReadDir(p.paths.Data)
	for _, e := range entries {
		var pid int
		if _, err := fmt.Sscanf(e.Name(), "backupfs-%d-", &pid); err != nil || pid != os.Getpid() && !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		if err := os.Remove(filepath.Join(p.paths.Data, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return err
}

func (p *livePlace) Commit(ctx context.Context) (map[uint32]uint32, error) {
	uids, err := p.merge(ctx)
	if uids == nil {
		return nil, err
	}
	return uids, errors.Join(err, p.spool.reconstruct(ctx, p.box.Mailbox.Name))
}

// Annotate sets METADATA.
func (p *livePlace) Annotate(ctx context.Context, list []cyrus.Annotation, dryRun bool) (int, error) {
	return p.spool.setMetadata(ctx, p.box.Mailbox, p.paths, list, dryRun)
}

// Close takes away what was not merged.
func (p *livePlace) Close() error {
	var errs []error
	for _, m := range p.put {
		path := m.temp
		if m.path != "" {
			path = m.path
		}
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}
