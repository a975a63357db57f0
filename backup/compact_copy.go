package backup

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
)

// copier writes entries of an archive into another one: as whole members, untouched, where what is wanted fills them, else entry by entry,
// each checked against its digest.
type copier struct {
	app   *archive.Appender
	from  *archive.Archive
	ix    *index.Index // of from
	cache *archive.Cache

	wait    []wanted         // what fills members from their start, as far as it goes
	members []archive.Member // of ours, in a row, that are being filled
}

// wanted is an entry of the archive that is read.
type wanted struct {
	archive.Entry
	sha1 cyrus.GUID
}

const (
	// copyCache is the memory for members that are read: what goes into one run comes from many.
	copyCache = 32 << 20
	// leastCopied is how much tar a member must hold to be taken over as it is: what came day by day is better in one.
	leastCopied = archive.MemberSize / 2
)

// add takes an entry, whose Data and Size say where it stands.
func (c *copier) add(ctx context.Context, w wanted) error {
	w.Offset = w.Data - w.HeadersSize()
	if n := len(c.wait); n > 0 && c.wait[n-1].End() != w.Offset {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	if len(c.wait) == 0 {
		if ok, err := c.more(w.Offset); err != nil {
			return err
		} else if !ok {
			return c.one(ctx, w)
		}
	}
	c.wait = append(c.wait, w)
	for c.filled() < w.End() {
		if ok, err := c.more(c.filled()); err != nil {
			return err
		} else if !ok {
			return c.flush(ctx)
		}
	}
	if c.filled() > w.End() {
		return nil // as far as it goes
	}
	for _, m := range c.members {
		if err := c.app.Copy(c.from, m); err != nil {
			return err
		}
	}
	c.wait, c.members = c.wait[:0], c.members[:0]
	return nil
}

// filled is where the members end that are being filled.
func (c *copier) filled() int64 { return c.members[len(c.members)-1].End().Tar }

// more takes the member that begins at a tar offset, ok false if none does that is worth it.
func (c *copier) more(tar int64) (ok bool, err error) {
	m, err := c.ix.Member(tar)
	if err != nil || m.Tar != tar || m.Foreign || m.Marker || len(c.members) == 0 && m.TarSize < leastCopied {
		return false, err
	}
	c.members = append(c.members, m)
	return true, nil
}

// flush writes what waits entry by entry. It is called before anything else is added.
func (c *copier) flush(ctx context.Context) error {
	for _, w := range c.wait {
		if err := c.one(ctx, w); err != nil {
			return err
		}
	}
	c.wait, c.members = c.wait[:0], c.members[:0]
	return nil
}

// one writes an entry, as it was but for what is not as we write it.
func (c *copier) one(ctx context.Context, w wanted) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	was, err := c.cache.EntryAt(ctx, c.from, c.ix.Known(), w.Data)
	if err != nil {
		return err
	}
	if was.Size != w.Size {
		return fmt.Errorf("%s: %d of the tar: %w: %q has %d bytes, not %d", c.from.Path(), w.Data, archive.ErrDamaged, was.Name, was.Size, w.Size)
	}
	w.Linkname, w.Type, w.Mtime, w.Inode = w.sha1.String(), archive.TypeFile, was.Mtime, was.Inode
	h := sha1.New()
	body := io.TeeReader(c.cache.Section(ctx, c.from, c.ix.Known(), w.Data, w.Size), h)
	if _, err := c.app.Add(w.Entry, body); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != w.Linkname {
		return fmt.Errorf("%s: %s: %w: its SHA-1 is %s", c.from.Path(), w.Name, archive.ErrDamaged, sum)
	}
	return nil
}
