package archive

import (
	"container/list"
	"fmt"
	"io"
	"sync"
)

// Cache holds inflated members of any number of archives, within a bound of bytes; it is safe for concurrent use,
// and inflates a member once for all that wait for it. Beyond its bound each reader that inflates just now holds one piece: a
// member, or MemberSize bytes of one that is too large to be held.
type Cache struct {
	bound int64

	mu     sync.Mutex // guards what follows; never held while inflating
	pieces map[pieceKey]*piece
	order  list.List // of *piece that are done, the latest used first
	held   int64
}

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
	at   *list.Element // in order, guarded by Cache.mu
}

// NewCache returns a Cache of at most so many bytes.
func NewCache(bytes int64) *Cache {
	return &Cache{bound: bytes, pieces: map[pieceKey]*piece{}}
}

// ReadAt reads tar bytes of a at off; find returns the member that holds a tar offset.
func (c *Cache) ReadAt(a *Archive, find func(tar int64) (Member, error), p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		m, err := find(at)
		if err != nil {
			return n, err
		}
		if at < m.Tar || at >= m.End().Tar {
			return n, a.damaged(m.File, fmt.Errorf("the member for %d of the tar holds %d to %d", at, m.Tar, m.End().Tar))
		}
		data, start, err := c.piece(a, m, at)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at-start:])
	}
	return n, nil
}

// Member returns the tar bytes of a member of at most MaxInflate bytes. They are shared, and must not be changed.
func (c *Cache) Member(a *Archive, m Member) ([]byte, error) {
	return c.get(pieceKey{a.serial, m.File, 0}, func() ([]byte, error) { return a.Inflate(m, nil) })
}

// piece returns the tar bytes around a tar offset in m, and where they start.
func (c *Cache) piece(a *Archive, m Member, at int64) (data []byte, start int64, err error) {
	if !m.Foreign || m.TarSize <= min(MaxInflate, max(c.bound/4, MemberSize)) {
		data, err = c.Member(a, m)
		return data, m.Tar, err
	}
	n := (at - m.Tar) / MemberSize
	data, err = c.get(pieceKey{a.serial, m.File, n + 1}, func() ([]byte, error) { return a.slow.read(a, m, n) })
	return data, m.Tar + n*MemberSize, err
}

func (c *Cache) get(key pieceKey, inflate func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	p, ok := c.pieces[key]
	if ok {
		if p.at != nil {
			c.order.MoveToFront(p.at)
		}
		c.mu.Unlock()
		<-p.done
		return p.data, p.err
	}
	p = &piece{key: key, done: make(chan struct{}), err: errPanicked}
	c.pieces[key] = p
	c.mu.Unlock()

	// Whoever waits is released even if inflating panics and the panic is caught above.
	defer func() {
		c.mu.Lock()
		if p.err == nil {
			p.at = c.order.PushFront(p)
			c.held += int64(len(p.data))
			c.shrinkLocked()
		} else {
			delete(c.pieces, key)
		}
		c.mu.Unlock()
		close(p.done)
	}()
	p.data, p.err = inflate()
	return p.data, p.err
}

var errPanicked = fmt.Errorf("inflating a member: %w", io.ErrUnexpectedEOF)

func (c *Cache) shrinkLocked() {
	for c.held > c.bound {
		p := c.order.Remove(c.order.Back()).(*piece)
		delete(c.pieces, p.key)
		c.held -= int64(len(p.data))
	}
}

// slowReader reads pieces of a foreign member that is too large to be held. It keeps the stream into the member open, so
// that reading forward costs what inflating it once costs; reading backward begins anew.
type slowReader struct {
	mu sync.Mutex // guards what follows
	r  io.Reader
	m  Member
	at int64 // in the member's tar
}

// read returns the nth MemberSize bytes of m, fewer at its end.
func (s *slowReader) read(a *Archive, m Member, n int64) (b []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if err != nil {
			s.r = nil
		}
	}()
	want := n * MemberSize
	if s.r == nil || s.m != m || s.at > want {
		if s.r, err = a.ReadMember(m); err != nil {
			return nil, err
		}
		s.m, s.at = m, 0
	}
	skipped, err := io.CopyN(io.Discard, s.r, want-s.at)
	if s.at += skipped; err != nil {
		return nil, s.ends(a, err)
	}
	b = make([]byte, min(MemberSize, m.TarSize-want))
	if _, err := io.ReadFull(s.r, b); err != nil {
		return nil, s.ends(a, err)
	}
	s.at += int64(len(b))
	return b, nil
}

func (s *slowReader) ends(a *Archive, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return a.damaged(s.m.File, fmt.Errorf("member ends before %d of its tar", s.m.TarSize))
	}
	return err
}
