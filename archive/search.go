package archive

import (
	"bytes"
	"errors"
)

// find looks for the member at which reading goes on behind damage: the first whole one of ours that begins at or behind a file
// offset, ends before limit, and holds tar from minTar on. A copy of a later member may have strayed there: if the next one that
// its successor confirms has tar from before it, that one is taken.
func (a *Archive) find(from, limit, minTar int64) (Member, bool, error) {
	if plain, err := a.isPlain(); err != nil || plain {
		return Member{}, false, err
	}
	if err := a.learnID(limit); err != nil {
		return Member{}, false, err
	}
	first, found, err := a.nextWhole(from, limit, minTar)
	for m, ok := first, found; ok; {
		next, herr := a.header(m.End().File, limit)
		if m.End().File == limit || errors.Is(herr, errForeign) || herr == nil && next.Tar == m.End().Tar {
			if m.Tar < first.End().Tar {
				return m, true, nil
			}
			break
		}
		if m, ok, err = a.nextWhole(m.File+1, limit, minTar); err != nil {
			return Member{}, false, err
		}
	}
	return first, found, err
}

// nextWhole finds the first whole member of ours at or behind a file offset. Members inside a stored message are told apart
// by their id.
func (a *Archive) nextWhole(from, limit, minTar int64) (m Member, ok bool, err error) {
	err = a.search(memberMagic[:4], MemberHeaderSize, from, limit, func(header []byte, at int64) (stop bool, err error) {
		m, ok, err = a.candidate(header, at, limit, minTar)
		return ok, err
	})
	return m, ok, err
}

// search offers the size bytes at each place from a file offset to limit where magic stands, until try wants no more.
func (a *Archive) search(magic string, size int, from, limit int64, try func(b []byte, at int64) (stop bool, err error)) error {
	buf := make([]byte, 256<<10)
	for from+int64(size) <= limit {
		b := buf[:min(int64(len(buf)), limit-from)]
		if err := a.readAt(b, from); errors.Is(err, ErrDamaged) {
			return nil // an appender has cut the file off meanwhile
		} else if err != nil {
			return err
		}
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], []byte(magic))
			if i < 0 || at+i+size > len(b) {
				break
			}
			at += i
			if stop, err := try(b[at:at+size], from+int64(at)); stop || err != nil {
				return err
			}
		}
		from += int64(len(b) - size + 1) // what is searched for may begin in the last bytes
	}
	return nil
}

// candidate reports whether a whole member stands at a file offset.
func (a *Archive) candidate(header []byte, at, limit, minTar int64) (Member, bool, error) {
	m, err := parseMemberHeader(header)
	if errors.Is(err, ErrVersion) {
		return Member{}, false, a.failed(at, err)
	}
	if err != nil || m.Tar < minTar || m.FileSize > limit-at {
		return Member{}, false, nil
	}
	m.File = at
	if id := a.id.Load(); id != 0 && id != uint64(m.ID)|1<<32 {
		return Member{}, false, nil
	}
	switch _, err := a.Inflate(m, nil); {
	case errors.Is(err, ErrDamaged):
		return Member{}, false, nil
	case err != nil:
		return Member{}, false, err
	}
	return m, a.ours(m), nil
}

// learnID takes the archive's id from its first member, before a search takes it from what may stand in a message.
func (a *Archive) learnID(limit int64) error {
	if a.id.Load() != 0 {
		return nil
	}
	m, err := a.header(0, limit)
	if err == nil {
		a.ours(m)
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, errForeign) {
		err = nil
	}
	return err
}
