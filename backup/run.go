package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
	"backupfs/source"
)

// run is one run of one user. The user's lock in the store is held by whoever made it; one goroutine uses it.
type run struct {
	src     source.Source
	user    store.User
	opts    Options
	started time.Time // by our clock, for Ended
	begun   time.Time // as it is written
	clock   time.Time // when it began by our clock, if that is before the last run

	app    *archive.Appender
	arch   *archive.Archive // the same file, for reading
	unlock func() error     // of the same, if it is new
	ix     *index.Index
	last   archive.Run  // zero if this is the first
	known  index.Status // of the index as it was found
	cache  *archive.Cache

	states  map[string]index.State // of the last run, by folder id
	names   map[string]string      // archived name to folder id, as the archive has it by now
	doubted map[string]error       // names that the last list lacks and that stay because nobody is sure, and why
	sums    map[string]total       // of the folders that were fetched in this run
	added   map[cyrus.GUID]int64   // messages appended in this run, and their sizes

	marker archive.Marker
	result Result
	now    Progress
	buf    []byte // of one small message
	fatal  error  // why a callback of the source ended the run
}

// commit is a run from the first byte to the last, in the order that everything depends on.
func (r *run) commit(ctx context.Context) error {
	// 1. Recover and open the archive, on every day and not only after a crash. A crash before leaves nothing of ours; a crash
	//    inside leaves the torn bytes where they are, or a second copy of them aside: the next run's recovery goes on.
	if err := r.open(); err != nil {
		return err
	}
	// 2. Bring the index up to the archive's last run: another tool's, or ours of which step 6 failed. A crash inside leaves
	//    an index that is behind: this step of the next run mends it.
	if err := r.ix.CatchUp(ctx, r.arch, nil); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := r.reread(); err != nil {
		return err
	}
	if err := r.load(); err != nil {
		return err
	}
	// 3. Append what changed: the user's own files, then folder by folder the messages, the cyrus.index that needs them, the
	//    other meta files, the link. A crash inside, or up to the end of step 5, leaves members behind the last marker:
	//    a run that did not happen. The next run's step 1 moves them aside, and its step 3 fetches again.
	if err := r.userFiles(ctx); err != nil {
		return err
	}
	if err := r.folders(ctx); err != nil {
		return err
	}
	if err := r.sum(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// 4. Sync: no marker may be on disk before what it stands for.
	// 5. Append the marker, sync. From here on the run exists. A crash behind it leaves an index that is behind, see 2.
	var err error
	if r.result.Run, err = r.app.Finish(r.marker); err != nil {
		return err
	}
	// 6. Bring the index up to date, from the archive, as in 2. It is a cache: that it fails is told, and the run stands.
	if r.result.Index = r.ix.CatchUp(ctx, r.arch, nil); r.result.Index == nil {
		r.result.Index = r.readBack()
	}
	return nil
}

// readBack tells what of the run that was just written could not be read again.
func (r *run) readBack() error {
	problems, err := r.ix.Problems()
	for _, p := range problems {
		if p.Run == r.result.Run.Run {
			r.problem("", 0, fmt.Errorf("%w: %s %s", ErrReadBack, p.Entry, p.Text))
		}
	}
	return err
}

// clockSkew is how far a clock may have been put back without a word: a correction of NTP, two servers that differ.
const clockSkew = 5 * time.Minute

// open opens index and archive, and settles when the run begins.
func (r *run) open() (err error) {
	if r.ix, err = index.OpenWrite(r.user.Index()); err != nil {
		return err
	}
	known, err := r.ix.Status()
	if err != nil {
		known = index.Status{} // step 2 makes it anew
	}
	r.known = known
	path, err := r.user.Archive()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if known.Runs > 0 {
			return fmt.Errorf("%s: %w: the file is gone", filepath.Join(r.user.Dir, known.Archive), ErrLost)
		}
		r.begun = r.when()
		if r.app, err = archive.Create(r.user.Dir, r.begun, r.opts.Append); err == nil {
			r.unlock, err = lock.Exclusive(r.app.Path())
		}
	case err == nil:
		r.app, r.result.Recovered, err = reopen(path, known, r.opts.Append)
	}
	if err != nil {
		return err
	}
	if last, ok := r.app.Last(); ok {
		r.last = last
	}
	if r.begun = r.when(); r.begun.Before(r.last.Begun) {
		if !r.opts.At.IsZero() {
			return fmt.Errorf("%w: %s is before %s", ErrBefore,
				r.begun.Format(time.RFC3339), r.last.Begun.UTC().Format(time.RFC3339))
		}
		if back := r.last.Clocked().Sub(r.begun); back > clockSkew {
			r.problem("", 0, fmt.Errorf("%w: by %s", ErrClock, back.Round(time.Minute)))
		}
		r.clock, r.begun = r.begun, r.last.Begun.UTC() // the clock was put back
	}
	r.arch, err = archive.Open(r.app.Path())
	return err
}

// reread notes how many runs step 2 found that the index did not know.
func (r *run) reread() error {
	now, err := r.ix.Status()
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	r.result.Reread = now.Runs
	if r.known.ID == now.ID {
		r.result.Reread -= r.known.Runs
	}
	return nil
}

// reopen opens an archive that exists for appending: it recovers it. known is what the index knows.
func reopen(path string, known index.Status, opts archive.AppendOptions) (*archive.Appender, archive.Recovered, error) {
	var hint archive.Hint
	if known.Archive == filepath.Base(path) {
		hint = archive.Hint{Position: known.End, ID: known.ID}
	}
	app, rec, err := archive.OpenAppend(path, hint, opts)
	if err == nil && rec.Lost {
		err = fmt.Errorf("%s: %w: they went to %d, and the file ends before", path, ErrLost, known.End.File)
		return nil, rec, errors.Join(err, app.Close())
	}
	return app, rec, err
}

// when is the time at which the run is said to begin.
func (r *run) when() time.Time {
	if r.opts.At.IsZero() {
		return r.started.UTC().Truncate(time.Second)
	}
	return r.opts.At.UTC().Truncate(time.Second)
}

// load reads from the index what the archive has as of the last run.
func (r *run) load() (err error) {
	if r.states, err = r.ix.States(); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	r.names = make(map[string]string)
	for id, st := range r.states {
		for _, name := range st.Names {
			r.names[name] = id
		}
	}
	r.doubted = make(map[string]error)
	r.sums = make(map[string]total)
	r.added = make(map[cyrus.GUID]int64)
	r.marker = archive.Marker{User: r.user.Name, Source: r.src.Name(), Begun: r.begun, Clock: r.clock}
	return nil
}

// close gives the files back. Whatever was to be on disk was synced before, so an error here loses nothing.
func (r *run) close() {
	if r.unlock != nil {
		_ = r.unlock()
	}
	if r.app != nil {
		r.app.Close()
	}
	if r.arch != nil {
		r.arch.Close()
	}
	if r.ix != nil {
		r.ix.Close()
	}
}

func (r *run) problem(folder string, uid uint32, err error) {
	r.result.Problems = append(r.result.Problems, Problem{Folder: folder, UID: uid, Err: err})
}

// problemOfAll tells once what is found of each folder.
func (r *run) problemOfAll(err error) {
	told := func(p Problem) bool { return p.Folder == "" && p.Err.Error() == err.Error() }
	if !slices.ContainsFunc(r.result.Problems, told) {
		r.problem("", 0, err)
	}
}
