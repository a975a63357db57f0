package archive

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"backupfs/internal/durable"
)

// Recovered says what OpenAppend found behind the last marker.
type Recovered struct {
	Torn      string // the file that torn bytes were moved to, empty if there were none
	TornBytes int64
	Foreign   bool // another tool's run stands at the end
	Lost      bool // the archive is older than the hint: the runs between are gone
}

// Hint is the end of a complete run, as a cache of the archive remembers it. The zero Hint knows nothing.
type Hint struct {
	Position
	ID uint32 // of the archive's members, 0 if it has none of ours. A hint of another archive is ignored
}

// beyond reports whether the hint knows a run behind end, of an archive with this id.
func (h Hint) beyond(end Position, id uint32) bool {
	return h.File > end.File && (h.ID == id || h.ID == 0 || id == 0)
}

// OpenAppend recovers path (docs/format.md, Recovery) and opens it for appending. The hint saves reading the file from its start,
// and tells a damaged end from a torn one; it is checked, never believed. ErrPlain for a plain tar. ErrDamaged if what would be
// cut off is no torn run, with ErrBehind if it is the hint that says so; nothing is cut off then.
// The caller holds the user's lock: one process at most may append.
func OpenAppend(path string, hint Hint, opts AppendOptions) (*Appender, Recovered, error) {
	f, err := durable.Open(path)
	if err != nil {
		return nil, Recovered{}, err
	}
	a, rec, err := openAppend(f, hint, opts)
	if err != nil {
		return nil, rec, errors.Join(err, f.Close())
	}
	return a, rec, nil
}

func openAppend(f *durable.File, hint Hint, opts AppendOptions) (*Appender, Recovered, error) {
	// What is read below may be in memory only, of a process that was killed before it synced. Nothing may be appended
	// behind a run that a power loss can still take. It costs next to nothing where nothing is to be written.
	if err := f.Sync(); err != nil {
		return nil, Recovered{}, err
	}
	size := f.Size()
	ar := NewArchive(f, func() (int64, error) { return size, nil }, f.Path())
	if plain, err := ar.isPlain(); err != nil {
		return nil, Recovered{}, err
	} else if plain {
		return nil, Recovered{}, fmt.Errorf("%s: %w", f.Path(), ErrPlain)
	}
	last, err := ar.standing(hint.Position, size)
	if err == nil {
		err = ar.torn(last, hint, size)
	}
	if err != nil {
		return nil, Recovered{}, err
	}
	id := uint32(ar.id.Load())
	rec := Recovered{Foreign: last.foreign, Lost: hint.beyond(last.end, id)}
	if rec.Torn, err = moveTorn(f, last.end.File); err != nil {
		return nil, Recovered{}, err
	}
	if rec.Torn != "" {
		rec.TornBytes = size - last.end.File
	}

	a, err := newAppender(f, id, opts)
	if err != nil {
		return nil, rec, err
	}
	a.last, a.ok = last.run, last.ok
	a.tar, a.start, a.digest = last.end.Tar, last.end.Tar, last.digest
	a.unnamed = true // a crash may have come before the first Finish synced the folder
	return a, rec, nil
}

// standing is what an archive holds, as one must know it who goes on with it.
type standing struct {
	run     Run // the last complete one
	ok      bool
	end     Position  // of it
	foreign bool      // it is inferred
	broken  int64     // as in tail
	digest  hash.Hash // of the tar bytes behind the last marker, begun with that marker's digest
}

// standing reads the archive from hint, if that is the end of a run with a marker, else from its start.
func (a *Archive) standing(hint Position, size int64) (standing, error) {
	st := standing{}
	from := Position{}
	mark, ok, err := a.markerBefore(hint, size)
	if err != nil {
		return st, err
	}
	if ok {
		from = hint
	}
	t, err := a.complete(from, size)
	if err != nil {
		return st, err
	}
	if t.marked {
		mark, ok = t.marker, true
	}
	if ok {
		st.run, st.ok = Run{Marker: mark, Start: -1, End: t.markedEnd}, true
	}
	st.end, st.broken = t.end, t.broken
	// Behind the last marker are inferred runs. Their bytes belong to the next run's digest.
	s := a.Scan(t.markedEnd, t.end, ScanOptions{
		Digest: true, FirstRun: mark.Run + 1, PrevDigest: mark.Digest, PrevBegun: mark.Begun,
	})
	for {
		e, err := s.Next()
		if err == io.EOF {
			st.digest = s.s.hash
			return st, nil
		}
		if err != nil {
			return st, err
		}
		if e.Kind == EventRun {
			st.run, st.ok, st.foreign = e.Run, true, true
		}
	}
}

// torn checks that what stands behind the last complete run is what a crash leaves: a run that nobody knows, at the end of the
// file. Where it is the remains of a complete one, they must not be cut off.
func (a *Archive) torn(last standing, hint Hint, size int64) error {
	if last.end.File == size {
		return nil
	}
	if hint.beyond(last.end, uint32(a.id.Load())) {
		return a.damaged(last.end.File, fmt.Errorf("%w: it ends at %d", ErrBehind, hint.File))
	}
	if last.broken < 0 {
		return nil
	}
	at, ok, err := a.foreignRun(last.broken, size)
	if ok {
		err = a.damaged(last.broken, fmt.Errorf("whole runs of another tool stand behind, at %d", at))
	}
	return err
}

// markerBefore returns the marker that ends at a position, ok false if none does.
func (a *Archive) markerBefore(end Position, size int64) (mark Marker, ok bool, err error) {
	if end.File <= 0 || end.File > size {
		return Marker{}, false, nil
	}
	if err := a.learnID(size); err != nil {
		return Marker{}, false, err
	}
	b := make([]byte, min(end.File, WholeSize)) // a larger marker is not found, and the archive read from its start
	if err := a.readAt(b, end.File-int64(len(b))); err != nil {
		return Marker{}, false, err
	}
	for rest := b; ; {
		at := bytes.LastIndex(rest, []byte(memberMagic))
		if at < 0 {
			return Marker{}, false, nil
		}
		m, err := parseMemberHeader(b[at:])
		m.File = end.File - int64(len(b)-at)
		if err == nil && m.Marker && m.End() == end && a.ours(m) {
			mark, err := a.marker(m)
			if err == nil || !errors.Is(err, ErrDamaged) {
				return mark, err == nil, err
			}
		}
		rest = rest[:at]
	}
}

// moveTorn copies what stands behind end to a file beside the archive, and then cuts it off. It returns that file's name, empty if
// nothing stands there.
func moveTorn(f *durable.File, end int64) (string, error) {
	if f.Size() == end {
		return "", nil
	}
	// 1. Copy, and sync copy and name. A crash leaves a copy too many.
	torn, err := copyTorn(f, end)
	if err != nil {
		return "", err
	}
	// 2. Cut. A crash leaves the old length or the new one.
	if err := f.Truncate(end); err != nil {
		return "", err
	}
	// 3. Sync, so that the old length does not come back under what is appended.
	if err := f.Sync(); err != nil {
		return "", err
	}
	return torn, nil
}

func copyTorn(f *durable.File, from int64) (string, error) {
	torn, err := createTorn(f.Path())
	if err != nil {
		return "", err
	}
	_, err = io.Copy(torn, io.NewSectionReader(f, from, f.Size()-from))
	if err == nil {
		err = torn.Sync()
	}
	err = errors.Join(err, torn.Close())
	if err == nil {
		err = durable.SyncDir(filepath.Dir(torn.Path()))
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(torn.Path())) // the bytes still stand in the archive
	}
	return torn.Path(), nil
}

// createTorn makes a file that was not there: its time is moved on until it finds a free name.
func createTorn(archive string) (*durable.File, error) {
	for at := time.Now().Unix(); ; at++ {
		f, err := durable.Create(fmt.Sprintf("%s.torn-%d", archive, at))
		if !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}
