package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"backupfs/archive"
	"backupfs/internal/durable"
)

// CatchUp reads the runs of a that the index lacks, all of them if it is of another archive, and commits them in one
// transaction: after an error or a crash the index is as before. It is how a backup, a crash's recovery, another tool's run
// and a rebuild reach the index: there is no other way.
//
// What is damaged in the archive is left out and noted in Problems. An index that proves damaged is begun anew. progress, if
// not nil, is told bytes of the file; it must not use the index.
func (ix *Index) CatchUp(ctx context.Context, a *archive.Archive, progress func(done, total int64)) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.db == nil {
		return fmt.Errorf("%s: %w", ix.path, os.ErrClosed)
	}
	err := ix.db.catchUp(ctx, a, progress)
	if !errors.Is(err, ErrNone) {
		return err
	}
	d := ix.db
	ix.db = nil
	if err := d.close(); err != nil {
		return err
	}
	if d, err = replace(ix.path); err != nil {
		return err
	}
	ix.db = d
	return d.catchUp(ctx, a, progress)
}

func (d *db) catchUp(ctx context.Context, a *archive.Archive, progress func(done, total int64)) (err error) {
	if err := d.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		// sqlite has rolled back by itself where the disk was full or failed.
		if err != nil && !d.conn.AutoCommit() {
			err = errors.Join(err, d.script("ROLLBACK"))
		}
	}()
	from, err := d.begin(a)
	if err != nil {
		return err
	}
	end, err := a.Complete(from)
	if err != nil {
		return err
	}
	if err := d.scan(ctx, a, from, end, progress); err != nil {
		return err
	}
	return d.script("COMMIT")
}

// begin returns where to go on. The index is emptied if it is of another archive.
func (d *db) begin(a *archive.Archive) (archive.Position, error) {
	s, err := d.status()
	if err != nil {
		return archive.Position{}, err
	}
	same, err := d.continues(s, a)
	if err != nil || same {
		return s.End, err
	}
	if err := d.clear(); err != nil {
		return archive.Position{}, err
	}
	_, err = d.exec("UPDATE status SET archive = ?", filepath.Base(a.Path()))
	return archive.Position{}, err
}

// continues reports whether a begins with the runs that the index holds: it has the same name, is not shorter, and its last
// run that we know ends as we know it, and ends there. A marker's digest stands for all bytes before it.
func (d *db) continues(s Status, a *archive.Archive) (bool, error) {
	if s.Archive != filepath.Base(a.Path()) {
		return false, nil
	}
	if s.End.File == 0 {
		return true, nil
	}
	if size, err := a.Size(); err != nil || size < s.End.File {
		return false, err
	}
	last, ok, err := d.lastRun()
	if err != nil || !ok || last.End != s.End {
		return false, err
	}
	var known archive.Member
	if ok, err = d.one(func(r *row) { known = scanMember(r) }, memberColumns+"ORDER BY tar DESC, file DESC LIMIT 1"); err != nil || !ok {
		return false, err
	}
	same, err := stands(a, known, last.Digest)
	if errors.Is(err, archive.ErrDamaged) {
		return false, nil
	}
	if err != nil || !same {
		return false, err
	}
	more, err := a.GoesOn(known)
	return !more, err
}

// stands reports whether m is in a, and holds the marker with this digest; another tool's has nothing but its sizes to tell.
func stands(a *archive.Archive, m archive.Member, digest string) (bool, error) {
	for is, err := range a.Members(m.Position) {
		if err != nil || is != m || m.Foreign {
			return err == nil && is == m, err
		}
		b, err := a.Inflate(m, nil)
		return err == nil && bytes.Contains(b, []byte(digest)), err
	}
	return false, nil
}

// scan applies the runs between two ends of runs.
func (d *db) scan(ctx context.Context, a *archive.Archive, from, end archive.Position, progress func(done, total int64)) error {
	if end == from {
		return nil
	}
	b, err := newBatch(d)
	if err != nil {
		return err
	}
	opts := archive.ScanOptions{Resync: true, FirstRun: int(b.run)}
	last, ok, err := d.lastRun()
	if err != nil {
		return err
	}
	if ok {
		opts.PrevDigest, opts.PrevBegun = last.Digest, last.Begun
	}
	// What follows the last run, where damage took its end, is undone.
	if err := d.script("SAVEPOINT run"); err != nil {
		return err
	}
	s := a.Scan(from, end, opts)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := s.Next()
		switch {
		case err == io.EOF:
			if progress != nil {
				progress(end.File-from.File, end.File-from.File)
			}
			return d.script("ROLLBACK TO run; RELEASE run")
		case err != nil:
			return err
		}
		switch e.Kind {
		case archive.EventMember:
			err = b.member(e.Member)
			if progress != nil {
				progress(e.Member.File-from.File, end.File-from.File)
			}
		case archive.EventEntry:
			err = b.entry(e.Entry, e.Body)
		case archive.EventRun:
			err = b.end(e.Run)
		case archive.EventDamage:
			err = b.damage(e.Damage)
		}
		if err != nil {
			return err
		}
	}
}

// damage notes what was lost, by offsets only: the same damage is the same row wherever the archive lies.
func (b *batch) damage(d archive.Damage) error {
	to := "the end"
	if d.To.Tar >= 0 {
		to = fmt.Sprint(d.To.File)
	}
	return b.problem("", fmt.Sprintf("the archive cannot be read from %d to %s", d.From.File, to))
}

// ErrKept: the archive is damaged, or lacks runs, and the old index, which is of it, knows what is lost. It was left in its place.
var ErrKept = fmt.Errorf("%w: its index knows more than can be read from it: it is kept", archive.ErrDamaged)

// Rebuild makes the index anew beside the old one and puts it in its place. The caller holds the user's lock of the store;
// who has the old index open keeps it until he opens it again. ErrKept if the old one is better.
func Rebuild(ctx context.Context, archivePath, indexPath string, progress func(done, total int64)) error {
	// What is read below may be in memory only, of a process that was killed before it synced. An index must know no run that a power loss
	// can still take: it would be a witness of what never was for certain.
	if err := durable.SyncFile(archivePath); err != nil {
		return err
	}
	temp := indexPath + ".new"
	if err := rebuild(ctx, archivePath, temp, progress); err != nil {
		return errors.Join(err, removeDB(temp))
	}
	if better, err := knowsMore(archivePath, indexPath, temp); err != nil || better {
		if better {
			err = fmt.Errorf("%s: %w", archivePath, ErrKept)
		}
		return errors.Join(err, removeDB(temp))
	}
	return Install(temp, indexPath)
}

// Install puts an index that is closed in the place of another.
func Install(temp, indexPath string) error {
	// A journal that a crash left behind would be rolled back into the new file.
	if _, err := os.Lstat(indexPath + "-journal"); err == nil {
		if err := removeDB(indexPath); err != nil {
			return err
		}
	}
	return os.Rename(temp, indexPath)
}

// knowsMore reports whether the index at old is of the archive, and knows runs behind the last one that can be read, or met less
// damage than the index at made. One that cannot be opened or read knows nothing.
func knowsMore(archivePath, old, made string) (bool, error) {
	now, err := OpenRead(made)
	if err != nil {
		return false, err
	}
	defer now.Close()
	readable, err := now.Status()
	if err != nil {
		return false, err
	}
	damage, err := now.damages()
	if err != nil {
		return false, err
	}
	before, err := OpenRead(old)
	if err != nil {
		return false, nil
	}
	defer before.Close()
	known, err := before.Status()
	if err != nil {
		return false, nil
	}
	met, err := before.damages()
	if err != nil {
		return false, nil
	}
	a, err := archive.Open(archivePath)
	if err != nil {
		return false, err
	}
	defer a.Close()
	switch {
	case known.End.File > readable.End.File:
		return before.Of(a)
	case met < damage:
		return before.Fits(a)
	}
	return false, nil
}

// damages counts the stretches of the archive that were found damaged.
func (ix *Index) damages() (n int, err error) {
	problems, err := ix.Problems()
	for _, p := range problems {
		if p.Entry == "" {
			n++
		}
	}
	return n, err
}

func rebuild(ctx context.Context, archivePath, temp string, progress func(done, total int64)) (err error) {
	d, err := replace(temp)
	if err != nil {
		return err
	}
	ix := &Index{path: temp, db: d}
	defer func() { err = errors.Join(err, ix.Close()) }()
	return ix.readAll(ctx, archivePath, progress)
}

// readAll is CatchUp with the archive at a path.
func (ix *Index) readAll(ctx context.Context, archivePath string, progress func(done, total int64)) (err error) {
	a, err := archive.Open(archivePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	return ix.CatchUp(ctx, a, progress)
}
