package archive

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Cache holds inflated members of any number of archives, within a bound of bytes; it is safe for concurrent use,
// and inflates a member once for all that wait for it. Beyond its bound each reader that inflates just now holds one piece: a
// member, or MemberSize bytes of one that is too large to be held. What came out of a damaged member (salvage.go) is held as any other, so
// that who reads all of its messages has it salvaged once. Of another tool's members, which may be large, the last such is held beyond the bound:
// at most MaxInflate bytes.
//
// A piece's memory is used again when nobody needs it: to inflate into memory that is fresh from the kernel takes three times as long
// (docs/benchmarks.md). So pieces count who uses them, and nobody keeps a piece's bytes beyond his use.
type Cache struct {
	bound int64

	salvaging chan struct{} // holds one token while a damaged member of another tool is inflated

	mu     sync.Mutex // guards what follows; never held while inflating
	pieces map[pieceKey]*piece
	order  list.List // of *piece that are done, the latest used first
	held   int64     // bytes of those
	large  list.List // of the one that is held beyond the bound
	free   [][]byte  // MemberSize each
}

// maxFree is how many buffers wait to be used again.
const maxFree = 8

// pieceKey names what is inflated at once: a member, or the nth MemberSize bytes of a large foreign one.
type pieceKey struct {
	archive uint64
	file    int64
	n       int64
}

type piece struct {
	key  pieceKey
	done chan struct{} // closed when what follows is set
	data []byte
	err  error
	// Of a damaged member: what is wrong with it, and what of data is right all the same.
	damage error
	good   []span

	// Guarded by Cache.mu.
	at    *list.Element // in order
	users int
}

// NewCache returns a Cache of at most so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{bound: bytes, pieces: map[pieceKey]*piece{}, salvaging: make(chan struct{}, 1)}
}

// ReadAt reads tar bytes of a at off. It returns early, with the error of ctx, if that ends.
func (c *Cache) ReadAt(ctx context.Context, a *Archive, known Known, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		err := c.View(ctx, a, known, at, func(data []byte, start int64) error {
			n += copy(p[n:], data[at-start:])
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Section is size tar bytes of a from off on, which are read as by ReadAt.
func (c *Cache) Section(ctx context.Context, a *Archive, known Known, off, size int64) *io.SectionReader {
	return io.NewSectionReader(section{ctx, c, a, known}, off, size)
}

type section struct {
	ctx   context.Context
	c     *Cache
	a     *Archive
	known Known
}

func (s section) ReadAt(p []byte, off int64) (int, error) {
	return s.c.ReadAt(s.ctx, s.a, s.known, p, off)
}

// View calls f with what is inflated around a tar offset of a, and where in the tar it begins; f must neither change nor keep it.
func (c *Cache) View(ctx context.Context, a *Archive, known Known, off int64, f func(data []byte, start int64) error) error {
	m, err := known.Member(off)
	if err != nil {
		return err
	}
	if off < m.Tar || off >= m.End().Tar {
		return a.damaged(m.File, fmt.Errorf("the member for %d of the tar holds %d to %d", off, m.Tar, m.End().Tar))
	}
	p, start, err := c.pieceAt(ctx, a, known, m, off)
	if err != nil {
		return err
	}
	defer c.release(p)
	around, err := p.around(off - start)
	if err != nil {
		return err
	}
	return f(p.data[around.from:around.to], start+around.from)
}

// Load inflates the member that holds a tar offset, if it is of at most MemberSize bytes, unless it is there.
func (c *Cache) Load(ctx context.Context, a *Archive, known Known, tar int64) error {
	m, err := known.Member(tar)
	if err != nil || m.TarSize > MemberSize {
		return err
	}
	p, err := c.get(ctx, pieceKey{a.serial, m.File, 0}, func(p *piece) error { return c.load(ctx, a, known, m, p) })
	if err == nil {
		c.release(p)
	}
	return err
}

// pieceAt returns the piece of a member that holds a tar offset, and where it begins. It must be released.
func (c *Cache) pieceAt(ctx context.Context, a *Archive, known Known, m Member, off int64) (p *piece, start int64, err error) {
	key := pieceKey{a.serial, m.File, 0}
	if !m.Foreign || m.TarSize <= min(MaxInflate, max(c.bound/4, MemberSize)) {
		p, err = c.get(ctx, key, func(p *piece) error { return c.load(ctx, a, known, m, p) })
		return p, m.Tar, err
	}
	n := (off - m.Tar) / MemberSize
	large := key
	large.n = n + 1
	p, err = c.get(ctx, large, func(p *piece) (err error) {
		p.data, err = a.slow.piece(ctx, a, m, n, c.buffer())
		return err
	})
	if !errors.Is(err, ErrDamaged) || m.TarSize > MaxInflate {
		return p, m.Tar + n*MemberSize, err
	}
	damage := err
	p, err = c.get(ctx, key, func(p *piece) error { return c.salvage(ctx, a, known, m, p, damage) })
	return p, m.Tar, err
}

// load inflates a member.
func (c *Cache) load(ctx context.Context, a *Archive, known Known, m Member, p *piece) (err error) {
	if p.data, err = a.Inflate(m, c.buffer()); errors.Is(err, ErrDamaged) {
		err = c.salvage(ctx, a, known, m, p, err)
	}
	return err
}

// get returns a piece, inflated by the first who asks; it must be released. If that one is interrupted, the next does it.
func (c *Cache) get(ctx context.Context, key pieceKey, inflate func(*piece) error) (*piece, error) {
	for {
		c.mu.Lock()
		p, ok := c.pieces[key]
		if !ok {
			p = &piece{key: key, done: make(chan struct{}), err: errPanicked, users: 1}
			c.pieces[key] = p
			c.mu.Unlock()
			c.fill(p, inflate)
			if p.err != nil {
				return nil, p.err
			}
			return p, nil
		}
		p.users++
		if p.at != nil { // it is done: no reader waits, nor makes his context ready for that
			c.order.MoveToFront(p.at)
			c.mu.Unlock()
			return p, nil
		}
		c.mu.Unlock()
		select {
		case <-p.done:
		case <-ctx.Done():
			c.release(p)
			return nil, ctx.Err()
		}
		if p.err == nil {
			return p, nil
		}
		if !errors.Is(p.err, context.Canceled) || ctx.Err() != nil {
			return nil, p.err
		}
	}
}

// fill inflates a piece, and releases who waits for it even if inflating panics and the panic is caught above.
func (c *Cache) fill(p *piece, inflate func(*piece) error) {
	defer func() {
		c.mu.Lock()
		switch {
		case p.err == nil && p.damage != nil && len(p.data) > MemberSize:
			p.at = c.large.PushFront(p)
			c.shrinkLocked()
		case p.err == nil:
			p.at = c.order.PushFront(p)
			c.held += int64(len(p.data))
			c.shrinkLocked()
		default:
			delete(c.pieces, p.key)
		}
		c.mu.Unlock()
		close(p.done)
	}()
	p.err = inflate(p)
}

// release ends a use of a piece that was inflated.
func (c *Cache) release(p *piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.users--
	c.reuseLocked(p)
}

// buffer returns memory to inflate a piece into; its length is 0.
func (c *Cache) buffer() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.free); n > 0 {
		b := c.free[n-1]
		c.free = c.free[:n-1]
		return b
	}
	return make([]byte, 0, MemberSize)
}

func (c *Cache) shrinkLocked() {
	for c.held > c.bound {
		c.held -= c.dropLocked(&c.order)
	}
	for c.large.Len() > 1 {
		c.dropLocked(&c.large)
	}
}

// dropLocked takes the last piece of a list out of the cache, and returns how many bytes it has.
func (c *Cache) dropLocked(from *list.List) int64 {
	p := from.Remove(from.Back()).(*piece)
	p.at = nil
	delete(c.pieces, p.key)
	n := int64(len(p.data))
	c.reuseLocked(p)
	return n
}

// reuseLocked takes the memory of a piece that is out of the cache, once nobody uses it any more.
func (c *Cache) reuseLocked(p *piece) {
	if p.users > 0 || p.at != nil || p.data == nil {
		return
	}
	if cap(p.data) == MemberSize && len(c.free) < maxFree {
		c.free = append(c.free, p.data[:0])
	}
	p.data = nil
}

var errPanicked = fmt.Errorf("inflating a member: %w", io.ErrUnexpectedEOF)
