package archive

import (
	"context"
	"fmt"
)

// EntryAt returns the entry whose content stands at a tar offset of a, from the header before it, which cuts long names; where that
// begins is not known.
func (c *Cache) EntryAt(ctx context.Context, a *Archive, known Known, data int64) (Entry, error) {
	var block [BlockSize]byte
	if _, err := c.ReadAt(ctx, a, known, block[:], data-BlockSize); err != nil {
		return Entry{}, err
	}
	e, err := parseHeader(&block)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %d of the tar: %w: %w", a.name, data, ErrDamaged, err)
	}
	e.Data = data
	return e, nil
}

// HeadersSize is what stands before an entry's content, as an Appender writes it.
func (e Entry) HeadersSize() int64 { return headersSize(e) }
