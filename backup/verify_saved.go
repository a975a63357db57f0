package backup

import (
	"context"
	"crypto/sha1"
	"errors"
	"io"

	"backupfs/archive"
	"backupfs/index"
)

// saved is what stands in damaged members and is read all the same, by its digest, wherever an archive is read by its index: it is not hit.
type saved struct {
	a     *archive.Archive
	known archive.Known
	cache *archive.Cache
	tars  map[int64]bool // where what was looked at stands, and whether it is read
}

func newSaved(a *archive.Archive, ix *index.Index) *saved {
	return &saved{a, ix.Known(), archive.NewCache(4 * archive.MemberSize), make(map[int64]bool)}
}

// look reads all that has bytes in a stretch. What is wrong though its member is whole is read, too, by who does not look at digests: it is hit.
func (s *saved) look(ctx context.Context, bad stretch) error {
	contents, err := s.known.Contents(bad.from, bad.to)
	if err != nil {
		return err
	}
	for _, c := range contents {
		if _, ok := s.tars[c.Tar]; ok { // it lies in an earlier stretch, too
			continue
		}
		sum := sha1.New()
		_, err := io.Copy(sum, s.cache.Section(ctx, s.a, s.known, c.Tar, c.Size))
		if err != nil && !errors.Is(err, archive.ErrDamaged) {
			return err
		}
		s.tars[c.Tar] = err == nil && [sha1.Size]byte(sum.Sum(nil)) == c.SHA1
	}
	return nil
}
