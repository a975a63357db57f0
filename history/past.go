package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/internal/store"
)

// Past is a user's archive, and an index that knows all of it. It is for one goroutine.
type Past struct {
	Runs []index.Run // oldest first
	// Damaged is what could not be read, and was left out of an answer.
	Damaged []error

	archive *archive.Archive
	index   *index.Index
	members *archive.Cache
	member  archive.Member // read last
	flags   folderFlags    // asked for last
	close   func()
}

// cacheBytes holds what neighbours in the archive share.
const cacheBytes = 8 << 20

// Open opens a user's archive. Where the store's index cannot be used, one is built for this time.
func Open(ctx context.Context, u store.User) (p *Past, err error) {
	err = u.Read(func(path string) (err error) {
		p, err = open(ctx, u, path)
		return err
	})
	return p, err
}

func open(ctx context.Context, u store.User, path string) (p *Past, err error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	p = &Past{archive: a, members: archive.NewCache(cacheBytes)}
	if p.index, _, p.close, err = index.OpenAny(ctx, a, u.Index()); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if p.Runs, err = p.index.Runs(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close releases all.
func (p *Past) Close() error {
	p.close()
	return p.archive.Close()
}

// newest is the number of the newest run, 0 if there is none.
func (p *Past) newest() int {
	if len(p.Runs) == 0 {
		return 0
	}
	return p.Runs[len(p.Runs)-1].Run.Run
}

// folders are all that there were up to a run.
func (p *Past) folders(run int) ([]Folder, error) {
	names, err := p.index.Names(run)
	return Folders(names), err
}

// date is the name of a run in the tree.
func (p *Past) date(run int) string {
	i, ok := slices.BinarySearchFunc(p.Runs, run, func(r index.Run, run int) int { return cmp.Compare(r.Run.Run, run) })
	if !ok {
		return fmt.Sprint("run ", run)
	}
	return p.Runs[i].Date
}

// damaged takes an error that leaves something out of an answer, and returns any other.
func (p *Past) damaged(err error) error {
	if errors.Is(err, archive.ErrDamaged) || errors.Is(err, cyrus.ErrDamaged) || errors.Is(err, cyrus.ErrVersion) {
		p.Damaged = append(p.Damaged, err)
		return nil
	}
	return err
}

// find is index.Member, which is not asked again by who reads on.
func (p *Past) find(tar int64) (m archive.Member, err error) {
	if m = p.member; tar < m.Tar || tar >= m.End().Tar {
		m, err = p.index.Member(tar)
		p.member = m
	}
	return m, err
}

// content is what stands in the archive at a place.
func (p *Past) content(ctx context.Context, tar, size int64) *io.SectionReader {
	known := p.index.Known()
	known.Member = p.find
	return p.members.Section(ctx, p.archive, known, tar, size)
}
