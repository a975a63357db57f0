package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

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
	path, err := u.Archive()
	if err != nil {
		return nil, err
	}
	// The lock keeps archive and index as they are to each other. On a store that cannot be written nothing changes them.
	release, err := lock.File(u.Lock())
	switch {
	case err == nil:
		defer func() { _ = release() }()
	case !errors.Is(err, unix.EROFS):
		return nil, err
	}
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	end, err := a.Complete(archive.Position{})
	if err != nil {
		return nil, err
	}
	v := &verifier{report: new(Report), noted: make(map[string][]note)}
	known, indexErr := index.OpenRead(u.Index())
	if indexErr == nil {
		defer func() { _ = known.Close() }()
	}
	own, status := belongs(known, a, path)
	if own && status.End.File > end.File {
		if err := v.tailLost(a, &end, status.End); err != nil {
			return nil, err
		}
	}
	if err := v.scan(ctx, a, end, progress); err != nil {
		return nil, err
	}
	if v.report.Index = indexErr; indexErr == nil && len(v.bad) == 0 {
		v.report.Index = check(ctx, path, u.Index())
	}
	names := known
	if !own || status.End.File < end.File {
		names = nil
	}
	if err := v.locate(ctx, names, path); err != nil {
		return nil, err
	}
	return v.report, ctx.Err()
}

// belongs says whether an index is of this archive, not only of one of its name.
func belongs(ix *index.Index, a *archive.Archive, path string) (bool, index.Status) {
	if ix == nil {
		return false, index.Status{}
	}
	status, err := ix.Status()
	if err != nil || status.Archive != filepath.Base(path) {
		return false, status
	}
	for m, err := range a.Members(archive.Position{}) {
		return err != nil || m.Foreign || m.ID == status.ID, status
	}
	return true, status
}

// tailLost deals with runs that the index knows and the archive no longer shows: the last marker is damaged, then what it stood for
// is read all the same; or the file was cut.
func (v *verifier) tailLost(a *archive.Archive, end *archive.Position, known archive.Position) error {
	size, err := a.Size()
	if err != nil {
		return err
	}
	if size >= known.File {
		*end = known
		return nil
	}
	cut := fmt.Errorf("%s: %w: it ends at %d, and its last known run at %d", a.Path(), archive.ErrDamaged, size, known.File)
	v.bad = append(v.bad, stretch{end.Tar, known.Tar, cut})
	v.report.Archive = append(v.report.Archive, cut)
	return nil
}

// check says how an index differs from its archive.
func check(ctx context.Context, archivePath, indexPath string) error {
	err := index.Check(ctx, archivePath, indexPath)
	if err != nil && ctx.Err() == nil && !errors.Is(err, index.ErrNone) {
		err = fmt.Errorf("%w: %w", ErrIndexDiffers, err)
	}
	return err
}

// verifier gathers what is wrong with an archive.
type verifier struct {
	report *Report
	bad    []stretch
	noted  map[string][]note // by folder id
	notes  []note            // of the run being read, with their folders
}

// stretch is tar whose bytes are lost or wrong.
type stretch struct {
	from, to int64
	err      error
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
			v.bad = append(v.bad, stretch{e.Damage.From.Tar, to, e.Damage.Err})
			v.report.Archive = append(v.report.Archive, e.Damage.Err)
		}
	}
}
