package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
)

// RepairOptions of a Repair.
type RepairOptions struct {
	Write    bool // put the new archive in the place of the old one; else all is done but that
	Append   archive.AppendOptions
	Progress func(done, total int64)
}

// Repaired says what a Repair did, or would.
type Repaired struct {
	Nothing bool   // nothing is damaged, and nothing was done
	Path    string // of the new archive
	Aside   string // where the damaged one is now; empty if there was none, or Write is not set
	Runs    int
	Entries int      // taken over
	Lost    []Lost   // entries that no digest vouches for any more
	Unclear []string // folders whose state at some dates is that of the run before, by name
}

// Repair makes a new archive of all that can be read of a damaged one (docs/format.md, Repaired archives), proves that it shows what the
// old index knew but for what it names as lost, and puts it in the place of the old one, which is kept under another name. Until that
// one rename nothing is changed, and nothing but a cache is behind it. lock.ErrBusy while a run is going on.
func Repair(ctx context.Context, u store.User, opts RepairOptions) (*Repaired, error) {
	release, err := locked(u)
	if err != nil {
		return nil, err
	}
	defer release()
	old, err := u.Archive()
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return nil, err
	}
	if !gone {
		report, err := verify(ctx, u, opts.Progress)
		if err != nil {
			return nil, err
		}
		if report.Damage() == 0 {
			if opts.Write && report.Index != nil { // as a repair leaves it that was killed behind its rename
				err = index.Rebuild(ctx, old, u.Index(), nil)
			}
			return &Repaired{Nothing: true, Runs: report.Runs}, err
		}
	}
	w, err := openWitness(ctx, u, old)
	if err != nil {
		return nil, err
	}
	defer w.close()
	first := time.Now()
	if !gone && len(w.runs) > 0 { // else it could get the name of the one that is gone, and be taken for it
		first = w.runs[0].Begun
	}
	rw, err := newRewrite(u, old, first, opts.Append)
	if err != nil {
		return nil, err
	}
	defer rw.close()
	r := &repair{rewrite: rw, w: w, opts: opts}
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	was := w.ix
	if r.unplaced {
		was = nil
	}
	err = rw.finish(ctx, nil, func(now *index.Index) error {
		if was == nil {
			return nil
		}
		return index.SameMail(was, now, r.excused)
	})
	if err != nil {
		return nil, err
	}
	r.result.Path = rw.path()
	if opts.Write {
		if r.result.Aside, err = rw.instead(); err != nil {
			return nil, err
		}
	}
	return &r.result, nil
}

// witness is what is known of an archive: what is left of it, and the index that knew it.
type witness struct {
	arch   *archive.Archive // of no bytes where the file is gone
	end    archive.Position // up to which it is read: the end of the last known run, or of the file
	ix     *index.Index
	status index.Status
	runs   []index.Run
	states map[string]index.State
	lacks  map[string]bool // meta files that the index could not read either, by run and entry
	close  func()
}

// openWitness opens the archive at path, empty if it is gone, and the user's index if that knows all of it; else a private one is made.
func openWitness(ctx context.Context, u store.User, path string) (w *witness, err error) {
	w = &witness{lacks: map[string]bool{}}
	var closers []func()
	w.close = func() {
		for _, c := range closers {
			c()
		}
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	complete := archive.Position{}
	if path != "" {
		if w.arch, err = archive.Open(path); err != nil {
			return nil, err
		}
		closers = append(closers, func() { _ = w.arch.Close() })
		if complete, err = w.arch.Complete(complete); err != nil {
			return nil, err
		}
	}
	ix, ixErr := index.OpenRead(u.Index())
	if ixErr == nil {
		closers = append(closers, func() { _ = ix.Close() })
	} else if path == "" || !errors.Is(ixErr, index.ErrNone) {
		return nil, ixErr
	}
	own, status := path == "", index.Status{}
	if ixErr == nil && path != "" {
		if own, status, err = belongs(ix, w.arch); err != nil {
			return nil, err
		}
	}
	if w.ix = ix; !own || path != "" && status.End.Tar < complete.Tar {
		private, remove, err := index.Temporary(ctx, path)
		if err != nil {
			return nil, err
		}
		closers = append(closers, remove)
		w.ix = private
	}
	if err := w.load(); err != nil {
		return nil, err
	}
	if w.end = complete; path != "" && w.status.End.Tar > complete.Tar {
		w.end.Tar = w.status.End.Tar
		w.end.File, err = w.arch.Size()
	}
	return w, err
}

// load reads what is asked often.
func (w *witness) load() (err error) {
	if w.status, err = w.ix.Status(); err != nil {
		return err
	}
	if w.runs, err = w.ix.Runs(); err != nil {
		return err
	}
	if w.states, err = w.ix.States(); err != nil {
		return err
	}
	problems, err := w.ix.Problems()
	for _, p := range problems {
		w.lacks[lackKey(p.Run, p.Entry)] = true
	}
	return err
}

func lackKey(run int, entry string) string { return fmt.Sprint(run, " ", entry) }

// excused says of an entry whether it was lost.
func (r *repair) excused(run int, entry string) bool {
	return r.isLost[lackKey(run, entry)] || strings.HasPrefix(entry, "files/") && r.isLost[lackKey(0, entry)]
}
