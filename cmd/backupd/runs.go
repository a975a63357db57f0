package main

import (
	"context"
	"errors"
	"io"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/store"
)

// userRuns returns the complete runs of a user: from the index, and from the archive those that the index lacks.
func userRuns(ctx context.Context, u store.User) ([]index.Run, error) {
	path, err := u.Archive()
	if err != nil {
		return nil, err
	}
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = a.Close() }()
	runs, from, err := indexedRuns(u, a)
	if err != nil {
		return nil, err
	}
	end, err := a.Complete(from)
	if err != nil || end == from {
		return runs, err
	}
	opts := archive.ScanOptions{Resync: true, FirstRun: len(runs) + 1}
	if n := len(runs); n > 0 {
		opts.PrevBegun = runs[n-1].Begun
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

// indexedRuns returns what the index knows of an archive, nothing if there is none of it that is usable, and where its knowledge ends.
func indexedRuns(u store.User, a *archive.Archive) (runs []index.Run, end archive.Position, err error) {
	ix, err := index.OpenRead(u.Index())
	if errors.Is(err, index.ErrNone) {
		return nil, end, nil
	}
	if err != nil {
		return nil, end, err
	}
	defer func() { _ = ix.Close() }()
	if fits, err := ix.Fits(a); err != nil || !fits {
		return nil, end, err
	}
	status, err := ix.Status()
	if err != nil {
		return nil, end, err
	}
	runs, err = ix.Runs()
	return runs, status.End, err
}
