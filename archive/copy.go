package archive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"backupfs/internal/durable"
)

// Copy copies a gzip archive up to end, the end of a run, byte by byte into a new file in dir, whose number is that of its own name. The
// bytes are durable when it returns, the name is not. ErrPlain for a plain tar. progress, if not nil, is told bytes of the file.
func (a *Archive) Copy(ctx context.Context, dir string, end Position, progress func(done, total int64)) (path string, err error) {
	if plain, err := a.isPlain(); err != nil {
		return "", err
	} else if plain {
		return "", fmt.Errorf("%s: %w", a.name, ErrPlain)
	}
	f, err := durable.Create(filepath.Join(dir, fmt.Sprintf("%s%d.tar.gz", namePrefix, nameTime(a.name))))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, 1<<20)
	for off := int64(0); off < end.File; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if progress != nil {
			progress(off, end.File)
		}
		b = b[:min(int64(cap(b)), end.File-off)]
		if err := a.readAt(b, off); err != nil {
			return "", err
		}
		if _, err := f.Write(b); err != nil {
			return "", err
		}
		off += int64(len(b))
	}
	return f.Path(), f.Sync()
}

// Copy appends a whole member of another archive as it is, but for what its header says of the archive. It must begin and end with an
// entry, or be copied in a row with those that hold the rest of them. ErrDamaged, and nothing is added, if it is not whole.
func (a *Appender) Copy(from *Archive, m Member) error {
	if err := a.usable(); err != nil {
		return err
	}
	if m.Foreign || m.Marker {
		return fmt.Errorf("%s: member at %d: %w: it is no member of entries of ours", from.name, m.File, ErrEntry)
	}
	tar, err := from.Inflate(m, nil)
	if err != nil {
		return err
	}
	b := make([]byte, m.FileSize)
	if err := from.readAt(b, m.File); err != nil {
		return err
	}
	a.cut()
	if err := a.d.flush(); err != nil { // the deflater's writer rests now
		return a.poison(err)
	}
	m.Position, m.ID = Position{Tar: a.tar}, a.id
	appendMemberHeader(b[:0], m)
	if _, err := a.file.Write(b); err != nil {
		return a.poison(err)
	}
	a.digest.Write(tar)
	a.tar += m.TarSize
	return nil
}
