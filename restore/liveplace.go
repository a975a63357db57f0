package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"backupfs/cyrus"
	"backupfs/source"
)

// livePlace is a mailbox that the server has. Messages are written beside its own under names that mean nothing to Cyrus. Then, under the
// locks that imapd takes for APPEND, they get the next UIDs, their annotations, and records with their flags and dates in the index.
type livePlace struct {
	spool  *Spool
	folder *Folder
	box    source.Mailbox
	paths  cyrus.Paths
	files  *messageFiles // nil until there is one
	put    []putMessage
}

type putMessage struct {
	record cyrus.Record
	flags  []string // keywords
	name   string   // of its file, by now
}

func (p *livePlace) Name() string { return p.spool.src.Config().Admin(p.box.Mailbox.Name) }

func (p *livePlace) Absent() bool { return false }

func (p *livePlace) Has(ctx context.Context) (Held, error) {
	ix, err := readIndex(ctx, p.paths.Index)
	if err != nil {
		return nil, err
	}
	if unfinished(ix) { // by a call before this one
		p.spool.touch(p.box.Mailbox)
	}
	has := map[cyrus.GUID]bool{}
	shown(ix, has)
	return heldIn(has), nil
}

func (p *livePlace) Put(m *Message) (err error) {
	if p.files == nil {
		// The folder is not there while all messages are on the archive partition.
		if p.files, err = p.spool.messageFiles(p.paths.Data); err != nil {
			return err
		}
		if err := p.files.sweep(isUnmerged); err != nil {
			return err
		}
	}
	name := unmergedName(len(p.put))
	if err := p.files.put(name, m); err != nil {
		return err
	}
	r := m.Record
	r.SystemFlags = 0
	p.put = append(p.put, putMessage{record: bare(&m.Record), flags: r.FlagNames(p.folder.Header.Flags), name: name})
	return nil
}

// unmerged begins the names of message files that are not merged. Of two processes at a folder, each has its own.
var unmerged = sync.OnceValue(func() string { return "backupfs-" + rand.Text() + "-" })

func unmergedName(n int) string { return unmerged() + strconv.Itoa(n) + ".tmp" }

func isUnmerged(name string) bool {
	return strings.HasPrefix(name, "backupfs-") && strings.HasSuffix(name, ".tmp")
}

func (p *livePlace) Commit(ctx context.Context) (map[uint32]uint32, error) {
	if err := p.files.wait(); err != nil {
		return nil, err
	}
	uids, err := p.merge(ctx)
	if uids != nil {
		p.spool.touch(p.box.Mailbox)
		err = errors.Join(err, p.spool.forgetStatus(ctx, p.box.Mailbox.Name))
	}
	return uids, err
}

// Annotate sets METADATA.
func (p *livePlace) Annotate(ctx context.Context, list []cyrus.Annotation, dryRun bool) (int, error) {
	return p.spool.setMetadata(ctx, p.box.Mailbox, p.paths, list, dryRun)
}

// Close takes away what was not merged.
func (p *livePlace) Close() error {
	if p.files == nil {
		return nil
	}
	var errs []error
	_ = p.files.wait() // Commit said what it says
	for _, m := range p.put {
		if err := p.files.remove(m.name); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, p.files.close())...)
}
