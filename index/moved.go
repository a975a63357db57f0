package index

import (
	"context"
	"errors"
	"io"

	"backupfs/archive"
)

// Moved makes an index at the path to, from the one at from, for an archive in which damage moved bytes: one that has the last run which
// that index knows, but elsewhere. The digest of a run stands for all bytes before it, so whatever the old index knows is so; only where
// the members stand is looked for. Made from the archive alone, an index would not know what stood in a member that is lost. ok is false
// if the archive has not that run; then nothing is made.
func Moved(ctx context.Context, a *archive.Archive, from, to string) (ok bool, err error) {
	created := false
	d, err := moved(ctx, a, from, func() (*db, error) {
		created = true
		return replace(to)
	})
	if d != nil {
		err = d.close()
	}
	if created && (d == nil || err != nil) {
		return false, errors.Join(err, removeDB(to))
	}
	return d != nil, err
}

// moved fills what create makes; it returns nil if there is nothing to fill it with.
func moved(ctx context.Context, a *archive.Archive, from string, create func() (*db, error)) (d *db, err error) {
	old, err := OpenRead(from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	s, err := old.Status()
	if err != nil {
		return nil, err
	}
	last, known, err := old.db.lastRun()
	if of, oerr := old.Of(a); err != nil || oerr != nil || !of || !known || last.Digest == "" {
		return nil, errors.Join(err, oerr)
	}
	if d, err = create(); err != nil {
		return nil, err
	}
	if ok, err := d.move(ctx, a, from, s.End.Tar, last.Digest); err != nil || !ok {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// move takes over what the index at from knows, which goes to end of the tar and to the run of this digest.
func (d *db) move(ctx context.Context, a *archive.Archive, from string, end int64, digest string) (ok bool, err error) {
	if _, err := d.exec("ATTACH DATABASE ? AS old", from); err != nil {
		return false, err
	}
	if err := d.script("BEGIN IMMEDIATE; DELETE FROM status"); err != nil {
		return false, err
	}
	for i := len(tables) - 1; i >= 0; i-- { // what is referred to comes first
		if name := tables[i].name; name != "members" {
			if err := d.script("INSERT INTO " + name + " SELECT * FROM old." + name); err != nil {
				return false, err
			}
		}
	}
	if ok, err = d.findMembers(ctx, a, end, digest); err != nil || !ok {
		return false, errors.Join(err, d.script("ROLLBACK"))
	}
	return true, d.script("COMMIT; DETACH DATABASE old")
}

// findMembers fills in where the members stand that hold the tar up to end, and reports whether there is a run of this digest.
func (d *db) findMembers(ctx context.Context, a *archive.Archive, end int64, digest string) (found bool, err error) {
	size, err := a.Size()
	if err != nil {
		return false, err
	}
	b := &batch{db: d}
	var gaps []archive.Damage
	for s := a.Scan(archive.Position{}, archive.Position{File: size, Tar: end}, archive.ScanOptions{Resync: true}); ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		e, err := s.Next()
		if err == io.EOF {
			return found, d.fillGaps(gaps)
		}
		if err == nil && e.Kind == archive.EventMember {
			err = b.member(e.Member)
		}
		if err != nil {
			return false, err
		}
		if e.Kind == archive.EventDamage && e.Damage.From.Tar < e.Damage.To.Tar {
			gaps = append(gaps, e.Damage)
		}
		found = found || e.Kind == archive.EventRun && e.Run.Digest == digest
	}
}

// fillGaps enters members where some stand that nobody could enter: what comes out of the first of each gap can be had all the same.
func (d *db) fillGaps(gaps []archive.Damage) error {
	for _, g := range gaps {
		_, err := d.exec("INSERT OR IGNORE INTO members VALUES (?, ?, ?, ?, ?, 0)", g.From.Tar, g.From.File, g.To.File-g.From.File,
			min(g.To.Tar-g.From.Tar, archive.MemberSize), int64(archive.NoEntry))
		if err != nil {
			return err
		}
	}
	return nil
}
