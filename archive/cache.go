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
// member, or MemberSize bytes of one that is too large to be held.
//
// A piece's memory is used again when nobody needs it: to inflate into memory that is fresh from the kernel takes three times as long
// (docs/benchmarks.md). So pieces count who uses them, and nobody keeps a piece's bytes beyond his use.
type Cache struct {
	bound int64

	mu     sync.Mutex // guards what follows; never held while inflating
	pieces map[pieceKey]*piece
	order  list.List // of *piece that are done, the latest used first
	held   int64     // bytes of those
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
	done chan struct{} // closed when data and err are set
	data []byte
	err  error

	// Guarded by Cache.mu.
	at    *list.Element // in order
	users int
}

// NewCache returns a Cache of at most so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{bound: bytes, pieces: map[pieceKey]*piece{}}
}

// ReadAt reads tar bytes of a at off; find returns the member that holds a tar offset. It returns early, with the error of ctx, if that
// ends.
func (c *Cache) ReadAt(ctx context.Context, a *Archive, find func(tar int64) (Member, error), p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		err := c.use(ctx, a, find, off+int64(n), func(data []byte) error {
			n += copy(p[n:], data)
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Section is size tar bytes of a from off on, which are read as by ReadAt.
func (c *Cache) Section(ctx context.Context, a *Archive, find func(tar int64) (Member, error), off, size int64) *io.SectionReader {
	return io.NewSectionReader(section{ctx, c, a, find}, off, size)
}

type section struct {
	ctx  context.Context
	c    *Cache
	a    *Archive
	find func(tar int64) (Member, error)
}

func (s section) ReadAt(p []byte, off int64) (int, error) {
	return s.c.ReadAt(s.ctx, s.a, s.find, p, off)
}

// View calls f with n tar bytes of a at off, which f must neither change nor keep.
func (c *Cache) View(ctx context.Context, a *Archive, find func(tar int64) (Member, error), off, n int64, f func(data []byte) error) error {
	whole := false
	err := c.use(ctx, a, find, off, func(data []byte) error {
		if whole = int64(len(data)) >= n; whole {
			return f(data[:n])
		}
		return nil
	})
	if err != nil || whole {
		return err
	}
	p := make([]byte, n)
	if _, err := c.ReadAt(ctx, a, find, p, off); err != nil {
		return err
	}
	return f(p)
}

// Load inflates a member of at most MemberSize bytes, unless it is there.
func (c *Cache) Load(ctx context.Context, a *Archive, m Member) error {
	return c.use(ctx, a, func(int64) (Member, error) { return m, nil }, m.Tar, func([]byte) error { return nil })
}

// use calls f with the tar bytes from off to the end of the piece that holds it.
func (c *Cache) use(ctx context.Context, a *Archive, find func(tar int64) (Member, error), off int64, f func(data []byte) error) error {
	m, err := find(off)
	if err != nil {
		return err
	}
	if off < m.Tar || off >= m.End().Tar {
		return a.damaged(m.File, fmt.Errorf("the member for %d of the tar holds %d to %d", off, m.Tar, m.End().Tar))
	}
	key, start := pieceKey{a.serial, m.File, 0}, m.Tar
	inflate := func() ([]byte, error) { return a.Inflate(m, c.buffer()) }
	if m.Foreign && m.TarSize > min(MaxInflate, max(c.bound/4, MemberSize)) {
		n := (off - m.Tar) / MemberSize
		key.n, start = n+1, m.Tar+n*MemberSize
		inflate = func() ([]byte, error) { return a.slow.read(ctx, a, m, n, c.buffer()) }
	}
	p, err := c.get(ctx, key, inflate)
	if err != nil {
		return err
	}
	defer c.release(p)
	return f(p.data[off-start:])
}

// get returns a piece, inflated by the first who asks; it must be released. If that one is interrupted, the next does it.
func (c *Cache) get(ctx context.Context, key pieceKey, inflate func() ([]byte, error)) (*piece, error) {
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
func (c *Cache) fill(p *piece, inflate func() ([]byte, error)) {
	defer func() {
		c.mu.Lock()
		if p.err == nil {
			p.at = c.order.PushFront(p)
			c.held += int64(len(p.data))
			c.shrinkLocked()
		} else {
			delete(c.pieces, p.key)
		}
		c.mu.Unlock()
		close(p.done)
	}()
	p.data, p.err = inflate()
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
		p := c.order.Remove(c.order.Back()).(*piece)
		p.at = nil
		delete(c.pieces, p.key)
		c.held -= int64(len(p.data))
		c.reuseLocked(p)
	}
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

// slowReader reads pieces of a foreign member that is too large to be held. It keeps the stream into the member open, so
// that reading forward costs what inflating it once costs; reading backward begins anew.
type slowReader struct {
	turn chan struct{} // holds one token while somebody uses what follows
	r    io.Reader
	m    Member
	at   int64 // in the member's tar
}

// read returns the nth MemberSize bytes of m, fewer at its end, in the place of b. On the way there it can be interrupted; the next goes on from there.
func (s *slowReader) read(ctx context.Context, a *Archive, m Member, n int64, b []byte) (_ []byte, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.turn }()
	want := n * MemberSize
	if s.r == nil || s.m != m || s.at > want {
		if s.r, err = a.ReadMember(m); err != nil {
			return nil, err
		}
		s.m, s.at = m, 0
	}
	for s.at < want {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		skipped, err := io.CopyN(io.Discard, s.r, min(want-s.at, MemberSize))
		if s.at += skipped; err != nil {
			return nil, s.failed(a, err)
		}
	}
	b = b[:min(MemberSize, m.TarSize-want)]
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, s.failed(a, err)
	}
	s.at += int64(len(b))
	return b, nil
}

// failed gives the stream up.
func (s *slowReader) failed(a *Archive, err error) error {
	s.r = nil
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return a.damaged(s.m.File, fmt.Errorf("member ends before %d of its tar", s.m.TarSize))
	}
	return err
}
