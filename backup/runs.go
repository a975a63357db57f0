package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
)

// Runs returns the complete runs of a user: from the index, and from the archive those that the index lacks. With ErrDamaged come
// those that can be read, where the index knows later ones.
func Runs(ctx context.Context, u store.User) (runs []index.Run, err error) {
	err = u.Read(func(path string) (err error) {
		runs, err = runsOf(ctx, u, path)
		return err
	})
	return runs, err
}

func runsOf(ctx context.Context, u store.User, path string) ([]index.Run, error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	runs, from, known, err := indexedRuns(u, a)
	if err != nil {
		return nil, err
	}
	if runs, err = moreRuns(ctx, a, runs, from); err == nil && known.File > lastEnd(runs) {
		err = fmt.Errorf("%s: at %d: %w: %w: it ends at %d", path, lastEnd(runs), archive.ErrDamaged, archive.ErrBehind, known.File)
	}
	return runs, err
}

func lastEnd(runs []index.Run) int64 {
	if len(runs) == 0 {
		return 0
	}
	return runs[len(runs)-1].End.File
}

// moreRuns adds the runs of an archive from a position on.
func moreRuns(ctx context.Context, a *archive.Archive, runs []index.Run, from archive.Position) ([]index.Run, error) {
	end, err := a.Complete(from)
	if err != nil || end == from {
		return runs, err
	}
	opts := archive.ScanOptions{Resync: true, FirstRun: 1}
	if n := len(runs); n > 0 {
		opts.FirstRun, opts.PrevBegun = runs[n-1].Run.Run+1, runs[n-1].Begun
	}
	for s := a.Scan(from, end, opts); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if e.Kind == archive.EventRun {
			runs = append(runs, index.Run{Run: e.Run})
		}
	}
	plain := make([]archive.Run, len(runs))
	for i, r := range runs {
		plain[i] = r.Run
	}
	for i, date := range index.DateNames(plain, time.UTC) {
		runs[i].Date = date
	}
	return runs, nil
}

// indexedRuns returns what the index knows of an archive, nothing if there is none of it that is usable, and where these runs end. An
// archive that lost runs is read from its start; known is where the last one ended that the index knew.
func indexedRuns(u store.User, a *archive.Archive) (runs []index.Run, end, known archive.Position, err error) {
	ix, err := index.OpenRead(u.Index())
	if errors.Is(err, index.ErrNone) {
		return nil, end, known, nil
	}
	if err != nil {
		return nil, end, known, err
	}
	defer func() { _ = ix.Close() }()
	status, err := ix.Status()
	if err != nil {
		return nil, end, known, err
	}
	if fits, err := ix.Fits(a); err != nil {
		return nil, end, known, err
	} else if fits {
		runs, err = ix.Runs()
		return runs, status.End, status.End, err
	}
	if of, err := ix.Of(a); err != nil || !of {
		return nil, end, known, err
	}
	return nil, end, status.End, nil
}
