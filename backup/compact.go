package backup

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
)

// ErrNoSpace: there is too little space for a new archive beside the old one.
var ErrNoSpace = fmt.Errorf("too little space for a new archive beside the old one: %w", unix.ENOSPC)

// CompactOptions of a Compact.
type CompactOptions struct {
	Keep     Keep
	Location *time.Location // of days, weeks, months; nil is UTC
	Deleted  time.Duration  // the last date of a folder that is gone is kept until it is so much older than the newest
	Live     float64        // an archive of which so much is needed, of 1, is left alone: it does not pay
	DryRun   bool           // only say what would be done
	Append   archive.AppendOptions
	Progress func(doing string, done, total int64)
}

// Compacted says what a Compact did, or would.
type Compacted struct {
	Kept, Dropped []index.Run
	Dead          index.Bytes // what only the dropped runs need, and what none needs
	Live          float64     // how much of the archive is needed, of 1
	Pays          bool        // less than CompactOptions.Live
	Path          string      // of the new archive; empty where nothing was done
	Before, After int64       // bytes of the old archive and of the new one, which is estimated where nothing was done

	tar int64 // about as much has the new one
}

// Compact makes a new archive of the runs that are kept (docs/format.md, Compacted archives), proves that it shows at each of their dates
// what the old one does, and puts it in the place of the old one, which is removed. Where that does not pay, nothing is done: all runs stay.
// Until the one rename nothing is changed, and the old archive is there until the new one is complete on disk, under its name, with its
// index. lock.ErrBusy while a run is going on; archive.ErrDamaged, and nothing is done, if anything in the archive is damaged.
func Compact(ctx context.Context, u store.User, opts CompactOptions) (*Compacted, error) {
	release, err := locked(u)
	if err != nil {
		return nil, err
	}
	defer release()
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	if !opts.DryRun {
		if err := settle(ctx, u); err != nil {
			return nil, err
		}
	}
	path, err := u.Archive()
	if err != nil {
		return nil, err
	}
	result, err := pays(ctx, u, path, opts)
	if err != nil || opts.DryRun || !result.Pays {
		return result, err
	}
	if err := settleEnd(ctx, u, path, opts); err != nil {
		return nil, err
	}
	report, err := verify(ctx, u, opts.doing("reading"))
	if err != nil {
		return nil, err
	}
	if report.Damage() > 0 {
		return nil, fmt.Errorf("%s: %w", path, report.Err())
	}
	if report.Index != nil { // a compaction goes by it
		if err := index.Rebuild(ctx, path, u.Index(), nil); err != nil {
			return nil, err
		}
	}
	return compact(ctx, u, path, opts, report.named)
}

// pays looks what a compaction would do.
func pays(ctx context.Context, u store.User, path string, opts CompactOptions) (*Compacted, error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	ix, _, done, err := index.OpenAny(ctx, a, u.Index())
	if err != nil {
		return nil, err
	}
	defer done()
	return plan(a, ix, opts)
}

func plan(a *archive.Archive, ix *index.Index, opts CompactOptions) (*Compacted, error) {
	res := &Compacted{Live: 1}
	runs, err := ix.Runs()
	if err != nil {
		return nil, err
	}
	kept, err := opts.kept(ix, runs)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if kept[i] {
			res.Kept = append(res.Kept, runs[i])
		} else {
			res.Dropped = append(res.Dropped, runs[i])
		}
	}
	if res.Before, err = a.Size(); err != nil {
		return nil, err
	}
	if res.After = res.Before; len(res.Dropped) == 0 {
		return res, nil
	}
	if res.Dead, err = ix.Dead(numbers(res.Kept)); err != nil {
		return nil, err
	}
	status, err := ix.Status()
	if err != nil {
		return nil, err
	}
	res.Live = 1 - float64(res.Dead.Tar)/float64(status.End.Tar)
	res.After, res.tar = int64(float64(res.Before)*res.Live), status.End.Tar-res.Dead.Tar
	res.Pays = res.Live < opts.Live
	return res, nil
}

// kept says which runs are.
func (o *CompactOptions) kept(ix *index.Index, runs []index.Run) ([]bool, error) {
	t := timesOf(runs)
	kept := t.kept(o.Keep, o.Location)
	if o.Deleted == 0 {
		return kept, nil
	}
	last, err := ix.LastOfGone()
	for i, r := range runs {
		if slices.Contains(last, r.Run.Run) && !t.older(i, o.Deleted) {
			kept[i] = true
		}
	}
	return kept, err
}

func numbers(runs []index.Run) []int {
	list := make([]int, len(runs))
	for i, r := range runs {
		list[i] = r.Run.Run
	}
	return list
}

// settleEnd has the archive end with its last run, and the index know it, as the first steps of a backup do: what is torn is moved aside,
// and so does not go with the old archive.
func settleEnd(ctx context.Context, u store.User, path string, opts CompactOptions) error {
	ix, err := index.OpenWrite(u.Index())
	if err != nil {
		return err
	}
	defer func() { _ = ix.Close() }()
	known, err := ix.Status()
	if err != nil {
		known = index.Status{}
	}
	app, _, err := reopen(path, known, opts.Append)
	if err != nil {
		return err
	}
	if err := app.Close(); err != nil {
		return err
	}
	a, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	return ix.CatchUp(ctx, a, nil)
}

// compact writes the new archive, and puts it in the place of the old one, which is sound, as its index is. lost is what repairs named.
func compact(ctx context.Context, u store.User, path string, opts CompactOptions, lost []Lost) (*Compacted, error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	ix, err := index.OpenRead(u.Index())
	if err != nil {
		return nil, err
	}
	defer func() { _ = ix.Close() }()
	res, err := plan(a, ix, opts)
	if err != nil || !res.Pays {
		return res, err
	}
	if err := room(u, res.After); err != nil {
		return nil, err
	}
	rw, err := newRewrite(u, path, res.Kept[0].Begun, opts.Append)
	if err != nil {
		return nil, err
	}
	defer rw.close()
	c := &compaction{
		rewrite: rw, ix: ix, kept: res.Kept, total: res.tar, progress: opts.doing("writing"),
		copier: copier{app: rw.app, from: a, ix: ix, cache: archive.NewCache(copyCache)},
	}
	if c.lost, err = c.stillLost(lost); err != nil {
		return nil, err
	}
	if err := c.all(ctx); err != nil {
		return nil, err
	}
	err = rw.finish(ctx, opts.doing("reading back"), func(now *index.Index) error {
		runs, err := now.Runs()
		if err != nil {
			return err
		}
		if !slices.Equal(numbers(runs), numbers(res.Kept)) {
			return fmt.Errorf("it has runs %v, and should have %v", numbers(runs), numbers(res.Kept))
		}
		return index.SameDates(ix, now)
	})
	if err != nil {
		return nil, err
	}
	if err := rw.replace(); err != nil {
		return nil, err
	}
	res.Path = rw.path()
	info, err := os.Stat(res.Path)
	if err == nil {
		res.After = info.Size()
	}
	return res, err
}

// doing is how far what is.
func (o *CompactOptions) doing(what string) func(done, total int64) {
	return func(done, total int64) {
		if o.Progress != nil {
			o.Progress(what, done, total)
		}
	}
}

// room makes sure that there is space for a new archive and its index.
func room(u store.User, size int64) error {
	need := size + size/10
	if info, err := os.Stat(u.Index()); err == nil {
		need += info.Size()
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(u.Dir, &fs); err != nil {
		return fmt.Errorf("%s: %w", u.Dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need {
		return fmt.Errorf("%s: %w: %d bytes are free, and about %d are needed", u.Dir, ErrNoSpace, free, need)
	}
	return nil
}
