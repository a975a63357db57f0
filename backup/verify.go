package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/lock"
)

// ErrIndexDiffers: an index is not what a rebuild from its archive would make. No mail is touched by that.
var ErrIndexDiffers = errors.New("the index differs from the archive")

// Verify reads a user's archive from the first byte to the last, and checks every CRC, the SHA-1 of every entry, each
// cyrus.index, the chain of digests, and the index. It changes nothing. lock.ErrBusy while a run is going on. progress, if
// not nil, is told bytes of the file.
func Verify(ctx context.Context, u store.User, progress func(done, total int64)) (*Report, error) {
	if _, err := u.Archive(); err != nil {
		return nil, err // without a lock, for which there may be no folder
	}
	// The lock keeps archive and index as they are to each other. On a store that cannot be written nothing changes them.
	release, err := lock.File(u.Lock())
	switch {
	case err == nil:
		defer func() { _ = release() }()
	case !errors.Is(err, unix.EROFS):
		return nil, err
	}
	return verify(ctx, u, progress)
}

// verify is Verify, under the lock.
func verify(ctx context.Context, u store.User, progress func(done, total int64)) (*Report, error) {
	r, err := beginReading(u)
	if err != nil {
		return nil, err
	}
	defer r.close()
	v := r.verifier
	found, err := r.all(ctx, progress)
	if err != nil {
		return nil, err
	}
	if !found {
		return v.report, ctx.Err()
	}
	if v.report.Index = r.indexErr; r.indexErr == nil && len(v.bad) == 0 {
		v.report.Index = check(ctx, r.path, u.Index())
	}
	ix, release, err := r.index(ctx, u.Index())
	if err != nil {
		return nil, err
	}
	defer release()
	if err := v.locate(ctx, ix, r.a); err != nil {
		return nil, err
	}
	return v.report, ctx.Err()
}

// index is the one that tells what stands in the archive: the user's, if it knows all of it, with the members where damage moved them to; else a private one.
func (r *reading) index(ctx context.Context, path string) (ix *index.Index, release func(), err error) {
	if !r.own || r.status.End.Tar < r.end.Tar {
		return index.Temporary(ctx, r.path)
	}
	if fits, err := r.known.Fits(r.a); fits || err != nil {
		return r.known, func() {}, err
	}
	ix, release, err = index.TemporaryMoved(ctx, r.a, path)
	if ix == nil && err == nil {
		ix, release = r.known, func() {} // runs that it knows are lost
	}
	return ix, release, err
}

// Scrub reads an archive as Verify does, but beside runs: it takes no lock, and reads what was complete when it began. It says whether anything
// looks damaged; what, Verify finds out, which keeps runs waiting. The index is not compared, which is a cache. progress is called after every
// few hundred KiB, and may wait, to slow it down.
func Scrub(ctx context.Context, u store.User, progress func(done, total int64)) (damaged bool, err error) {
	r, err := beginReading(u)
	if err != nil {
		return false, err
	}
	defer r.close()
	_, err = r.all(ctx, progress)
	return len(r.bad)+r.report.Damage() > 0, err
}

// reading is an archive that is read as a whole.
type reading struct {
	*verifier
	path string
	a    *archive.Archive
	end  archive.Position // of the last run that was complete when it began

	known    *index.Index // nil with indexErr
	indexErr error
	own      bool         // it is this archive's
	status   index.Status // of it, at most as new as end, if nothing is damaged
}

func beginReading(u store.User) (*reading, error) {
	r := &reading{verifier: newVerifier()}
	err := r.open(u)
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// open looks at the index first: so it knows of no run that the archive does not have by then.
func (r *reading) open(u store.User) (err error) {
	if r.known, r.indexErr = index.OpenRead(u.Index()); r.indexErr == nil {
		r.status, _ = r.known.Status() // one that cannot be read knows nothing
	}
	if r.path, err = u.Archive(); err != nil {
		return err
	}
	if r.a, err = archive.Open(r.path); err != nil {
		return err
	}
	if r.end, err = r.a.Complete(archive.Position{}); err != nil {
		return err
	}
	r.own, _, err = belongs(r.known, r.a)
	return err
}

func (r *reading) close() {
	if r.known != nil {
		_ = r.known.Close()
	}
	if r.a != nil {
		_ = r.a.Close()
	}
}

// all reads all. found says that there is a complete run.
func (r *reading) all(ctx context.Context, progress func(done, total int64)) (found bool, err error) {
	size, err := r.a.Size()
	if err != nil {
		return false, err
	}
	if r.own && r.status.End.Tar > r.end.Tar { // by the tar: lost bytes move all that is behind them
		r.tailLost(r.path, size, &r.end, r.status.End)
	} else if at, behind, err := r.a.ForeignBehind(r.end); err != nil {
		return false, err
	} else if behind {
		r.report.Archive = append(r.report.Archive, fmt.Errorf("%s: at %d: %w: whole runs of another tool stand behind, at %d", r.path, r.end.File,
			archive.ErrDamaged, at))
	} else {
		r.report.Unfinished = size - r.end.File
	}
	if r.end.File == 0 && len(r.report.Archive) == 0 {
		// No run is complete, as a first one leaves it that failed: there is nothing to check.
		if r.status.Runs > 0 {
			r.report.Archive = []error{fmt.Errorf("%s: %w: it has no complete run, and the index knows %d, of %s", r.path, archive.ErrDamaged,
				r.status.Runs, r.status.Archive)}
		}
		return false, nil
	}
	return true, r.scan(ctx, r.a, r.end, progress)
}

// belongs says whether an index, nil if there is none, is of this archive, not only of one of its name. One that cannot be read is
// of none.
func belongs(ix *index.Index, a *archive.Archive) (own bool, status index.Status, err error) {
	if ix == nil {
		return false, status, nil
	}
	if status, err = ix.Status(); err != nil {
		return false, status, nil
	}
	own, err = ix.Of(a)
	return own, status, err
}

// tailLost deals with runs that the index knows and the archive no longer shows: the last marker is damaged, then what it stood for
// is read all the same; or the file was cut. What stands behind the last run that is shown is no torn one.
func (v *verifier) tailLost(path string, size int64, end *archive.Position, known archive.Position) {
	if size >= known.File {
		v.report.Archive = append(v.report.Archive, fmt.Errorf("%s: at %d: %w: %w: it ends at %d", path, end.File, archive.ErrDamaged,
			archive.ErrBehind, known.File))
		v.report.Unfinished = size - known.File
		*end = known
		return
	}
	cut := fmt.Errorf("%s: %w: it ends at %d, and its last known run at %d", path, archive.ErrDamaged, size, known.File)
	v.bad = append(v.bad, stretch{from: end.Tar, to: known.Tar, err: cut, gone: true})
	v.report.Archive = append(v.report.Archive, cut)
}

// check says how an index differs from its archive.
func check(ctx context.Context, archivePath, indexPath string) error {
	err := index.Check(ctx, archivePath, indexPath)
	if err != nil && ctx.Err() == nil { // it could be opened: that it is none is damage
		err = fmt.Errorf("%w: %w", ErrIndexDiffers, err)
	}
	return err
}

// verifier gathers what is wrong with an archive.
type verifier struct {
	report *Report
	bad    []stretch
	told   map[told]int      // where in its list
	noted  map[string][]note // by folder id
	notes  []note            // of the run being read, with their folders
	lost   map[string]Lost   // that a repair named, by entry
}

func newVerifier() *verifier {
	return &verifier{report: new(Report), told: make(map[told]int), noted: make(map[string][]note), lost: make(map[string]Lost)}
}

// told is what a list of the report names.
type told struct {
	list   *[]Finding
	folder int64 // in the index; 0 is none
	uid    uint32
	file   string
}

// stretch is tar whose bytes are lost or wrong.
type stretch struct {
	from, to int64
	err      error
	gone     bool // no date shows it any more, whatever is left of it
}

// note is what a cyrus.backupfs says of missing messages.
type note struct {
	folder  string
	run     int
	missing map[uint32]bool
}

func (v *verifier) scan(ctx context.Context, a *archive.Archive, end archive.Position, progress func(done, total int64)) error {
	s := a.Scan(archive.Position{}, end, archive.ScanOptions{Digest: true, Resync: true, FirstRun: 1})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := s.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch e.Kind {
		case archive.EventMember:
			if progress != nil {
				progress(e.Member.File, end.File)
			}
		case archive.EventEntry:
			if err := v.entry(e.Entry, e.Body); err != nil {
				return err
			}
		case archive.EventRun:
			v.report.Runs++
			for _, n := range v.notes {
				n.run = e.Run.Run
				v.noted[n.folder] = append(v.noted[n.folder], n)
			}
			v.notes = nil
		case archive.EventDamage:
			to := e.Damage.To.Tar
			if to < 0 {
				to = end.Tar
			}
			v.bad = append(v.bad, stretch{from: e.Damage.From.Tar, to: to, err: e.Damage.Err})
			v.report.Archive = append(v.report.Archive, e.Damage.Err)
		}
	}
}
