package backup

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"backupfs/archive"
)

// chain is members that begin and end with an entry, and the entries in them: what of an archive is copied at once, or entry by entry
// where some of it is damaged.
type chain struct {
	a       *archive.Archive
	cache   *archive.Cache
	members []archive.Member
	pieces  []piece // of damaged members
	entries []archive.Entry
	whole   bool  // so far
	end     int64 // of the last entry, in the tar; nowhere behind damage
}

// nowhere is behind every place: behind damage nobody knows where the next entry begins, but for who reads on.
const nowhere = math.MaxInt64

// piece is tar that came out of a damaged member.
type piece struct {
	tar   int64
	bytes []byte
}

func newChain(a *archive.Archive) *chain {
	return &chain{a: a, cache: archive.NewCache(4 * archive.MemberSize), whole: true}
}

// begins reports whether a member begins a new chain: an entry begins with it, and none goes on.
func (c *chain) begins(m archive.Member) bool {
	return m.Tar >= c.end || c.end == nowhere && !m.Foreign && m.First == 0
}

// add takes an entry that stands behind all others.
func (c *chain) add(e archive.Entry) {
	c.entries = append(c.entries, e)
	c.end = e.End()
}

// drop takes back a member that proved damaged when it was read.
func (c *chain) drop(at archive.Position) {
	c.members = slices.DeleteFunc(c.members, func(m archive.Member) bool { return m.Position == at })
}

// maxPieces bounds the memory for what comes out of damaged members.
const maxPieces = 8

// rescue adds what comes out of the damaged member that stands from a position on, to a place in the tar at most, and the entries in it: those that
// show there, and those that are known to begin there, behind headers that may be lost.
func (c *chain) rescue(from archive.Position, limit, upTo int64, known []archive.Entry) error {
	c.whole, c.end = false, nowhere
	tar, err := c.a.Rescue(from.File, limit)
	if err != nil {
		return err
	}
	tar = tar[:min(int64(len(tar)), upTo-from.Tar)] // an end that is damaged may let more come out
	c.pieces = append(c.pieces, piece{from.Tar, tar})
	entries := archive.Entries(tar, from.Tar)
	shown := map[int64]bool{}
	for _, e := range entries {
		shown[e.Data] = true
	}
	for _, e := range known {
		if !shown[e.Data] && e.Data >= from.Tar && e.Data < from.Tar+int64(len(tar)) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b archive.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	c.entries = append(c.entries, entries...)
	return nil
}

// ReadAt reads tar of the chain, from damaged members what came out of them; archive.ErrDamaged where there is none.
func (c *chain) ReadAt(p []byte, tar int64) (n int, err error) {
	for n < len(p) {
		k, err := c.read(p[n:], tar+int64(n))
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *chain) read(p []byte, tar int64) (int, error) {
	err := fmt.Errorf("%w: %d of the tar is lost", archive.ErrDamaged, tar)
	if m, ok := c.member(tar); ok {
		var n int
		p := p[:min(int64(len(p)), m.End().Tar-tar)]
		n, err = c.cache.ReadAt(context.Background(), c.a, archive.Known{Member: func(int64) (archive.Member, error) { return m, nil }}, p, tar)
		if !errors.Is(err, archive.ErrDamaged) {
			return n, err
		}
	}
	for _, piece := range c.pieces {
		if tar >= piece.tar && tar < piece.tar+int64(len(piece.bytes)) {
			return copy(p, piece.bytes[tar-piece.tar:]), nil
		}
	}
	return 0, err
}

func (c *chain) member(tar int64) (archive.Member, bool) {
	for _, m := range c.members {
		if tar >= m.Tar && tar < m.End().Tar {
			return m, true
		}
	}
	return archive.Member{}, false
}

// body reads an entry's content.
func (c *chain) body(e archive.Entry) io.Reader { return io.NewSectionReader(c, e.Data, e.Size) }

// proven reports whether an entry's content has the digest that it says.
func (c *chain) proven(e archive.Entry) bool {
	h := sha1.New()
	_, err := io.Copy(h, c.body(e))
	return err == nil && strings.EqualFold(digestOf(e), hex.EncodeToString(h.Sum(nil)))
}

// digestOf is the SHA-1 that an entry says its content has, in hex; empty if it says none.
func digestOf(e archive.Entry) string {
	if name, ok := strings.CutPrefix(e.Name, "files/"); ok {
		return name
	}
	if len(e.Linkname) == 2*sha1.Size {
		return e.Linkname
	}
	return ""
}
