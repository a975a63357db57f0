package archive

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"backupfs/internal/durable"
)

// namePrefix begins the name of an archive.
const namePrefix = "backupdata-"

// Appender appends runs to an archive. One goroutine uses it. Members are deflated by workers of its own, and
// written in order. After any error but ErrTooLarge and ErrEntry it is poisoned: each call is ErrPoisoned.
type Appender struct {
	file    *durable.File
	d       *deflater
	id      uint32
	unnamed bool // the file's name may not be durable yet
	later   bool // AppendOptions.SyncLater
	failed  error

	last   Run // the last complete run
	ok     bool
	start  int64 // tar offset of the current run
	tar    int64 // tar offset behind all that was added
	cur    *job  // the member that is being filled; nil if there is none
	digest hash.Hash
}

// AppendOptions of an Appender.
type AppendOptions struct {
	Level   int // of deflate, 1 to 12; 0 means 6
	Workers int // that deflate; 0 means one a processor. Memory: half a MiB a worker, and 1 MiB

	SyncLater bool // Finish syncs nothing: for a file that counts for nothing before a Sync, and a rename behind it
}

// Create makes a new archive in dir, named by the time (of the first run). os.ErrExist if there is one. It is durable after the
// first Finish.
func Create(dir string, begun time.Time, opts AppendOptions) (*Appender, error) {
	f, err := durable.Create(filepath.Join(dir, fmt.Sprintf("%s%d.tar.gz", namePrefix, begun.Unix())))
	if err != nil {
		return nil, err
	}
	a, err := newAppender(f, 0, opts)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	a.unnamed = true
	return a, nil
}

// newAppender appends to f. An id of 0 means a new one.
func newAppender(f *durable.File, id uint32, opts AppendOptions) (*Appender, error) {
	if opts.Level == 0 {
		opts.Level = 6
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	for id == 0 {
		var b [4]byte
		rand.Read(b[:])
		id = binary.LittleEndian.Uint32(b[:])
	}
	d, err := newDeflater(f, opts.Level, opts.Workers)
	if err != nil {
		return nil, err
	}
	a := &Appender{file: f, d: d, id: id, digest: sha256.New(), later: opts.SyncLater}
	a.digest.Write(make([]byte, sha256.Size))
	return a, nil
}

// Last is the last complete run, ok false if there is none. Its Start is -1 if OpenAppend found it by its hint.
func (a *Appender) Last() (run Run, ok bool) { return a.last, a.ok }

// Path is the archive's file.
func (a *Appender) Path() string { return a.file.Path() }

// Add appends an entry with e.Size bytes of r as content, and returns it with its offsets. If r yields fewer or
// more bytes, the run is lost: the Appender is poisoned. ErrTooLarge and ErrEntry are found before anything is added. r may be
// nil if e.Size is 0.
func (a *Appender) Add(e Entry, r io.Reader) (Entry, error) {
	if err := a.usable(); err != nil {
		return Entry{}, err
	}
	if err := checkEntry(e); err != nil {
		return Entry{}, err
	}
	headers := headersSize(e)
	need := headers + padded(e.Size)
	if need > WholeSize {
		need = headers // it spans members; its headers do not
	}
	if a.cur != nil && int64(len(a.cur.tar))+need > MemberSize {
		a.cut()
	}
	a.open()
	e.Offset, e.Data = a.tar, a.tar+headers
	if a.cur.m.First == NoEntry {
		a.cur.m.First = uint32(len(a.cur.tar))
	}
	a.cur.tar = appendHeaders(a.cur.tar, e)
	a.tar += headers
	if err := a.content(e.Size, r); err != nil {
		return Entry{}, a.poison(fmt.Errorf("%s: content of %q: %w", a.Path(), e.Name, err))
	}
	return e, nil
}

// checkEntry refuses what the format does not allow.
func checkEntry(e Entry) error {
	bad := func(why string) error { return fmt.Errorf("%q: %w: %s", e.Name, ErrEntry, why) }
	switch {
	case e.Size > MaxSize:
		return fmt.Errorf("%q, %d bytes: %w", e.Name, e.Size, ErrTooLarge)
	case e.Size < 0:
		return bad("its size is negative")
	case e.Type != TypeFile && e.Type != TypeLink:
		return bad("it is neither a file nor a link")
	case e.Type == TypeLink && e.Size != 0:
		return bad("it is a link with content")
	case len(e.Name) > MaxName || len(e.Linkname) > MaxName:
		return bad("its name is too long")
	case strings.ContainsRune(e.Name+e.Linkname, 0):
		return bad("its name has a NUL byte")
	case e.Name == MarkerName:
		return bad("a run's marker is written by Finish only")
	case !allowedName(e.Name):
		return bad("Cyrus's tools, or tar, refuse the name")
	}
	return nil
}

// allowedName reports whether a name is of a kind that Cyrus's compaction takes
// (cyrus: perl/imap/lib/Cyrus/Backup.pm CompressBackup), and that a tool which extracts takes for a place below its own.
func allowedName(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	if rest, ok := strings.CutPrefix(name, "folders/"); ok {
		id, file, ok := strings.Cut(rest, "/")
		return ok && id != "" && strings.HasPrefix(file, "cyrus.") && !strings.Contains(file, "/")
	}
	for _, top := range []string{"files/", "meta/", "imap/"} {
		if len(name) > len(top) && strings.HasPrefix(name, top) {
			return true
		}
	}
	return false
}

// content adds size bytes of r, and their padding.
func (a *Appender) content(size int64, r io.Reader) error {
	for left := size; left > 0; {
		if len(a.cur.tar) == MemberSize {
			a.cut()
			if err := a.d.failed(); err != nil {
				return err
			}
			a.open()
		}
		at := len(a.cur.tar)
		n := int(min(left, int64(MemberSize-at)))
		if _, err := io.ReadFull(r, a.cur.tar[at:at+n]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("after %d of %d bytes: %w", size-left, size, err)
		}
		a.cur.tar = a.cur.tar[:at+n]
		a.tar += int64(n)
		left -= int64(n)
	}
	if r != nil {
		switch n, err := io.ReadFull(r, make([]byte, 1)); {
		case n > 0:
			return fmt.Errorf("there is more than its %d bytes", size)
		case err != io.EOF:
			return err
		}
	}
	pad := int(padded(size) - size)
	a.cur.tar = append(a.cur.tar, make([]byte, pad)...)
	a.tar += int64(pad)
	return nil
}

// open begins a member if there is none.
func (a *Appender) open() {
	if a.cur == nil {
		a.cur = a.d.buffer()
		a.cur.m = Member{Position: Position{Tar: a.tar}, First: NoEntry, ID: a.id}
	}
}

// cut ends the current member, and gives it to the workers.
func (a *Appender) cut() {
	if a.cur != nil {
		a.digest.Write(a.cur.tar)
		a.d.put(a.cur)
		a.cur = nil
	}
}

// Finish ends the run: when it returns without an error, the run is on disk. It fills in the marker's Format, Offset and Digest, a Run
// that is not more than that of the run before (0, mostly), and moves Begun and Ended on where they lie before the run before. A run may be without entries.
func (a *Appender) Finish(m Marker) (Run, error) {
	if err := a.usable(); err != nil {
		return Run{}, err
	}
	run, err := a.finish(m)
	if err != nil {
		return Run{}, a.poison(err)
	}
	return run, nil
}

// finish is the order of a commit. Until its last step but one the run did not happen, and OpenAppend moves aside what is there of
// it.
func (a *Appender) finish(m Marker) (Run, error) {
	// 1. The members. A crash leaves members of ours without a marker.
	a.cut()
	if err := a.d.flush(); err != nil {
		return Run{}, err
	}

	// 2. Sync them, so that no marker can be on disk before what it vouches for. A crash leaves what 1 left, all of it. Where there are
	//    none, nothing has changed since OpenAppend synced, and durable.File asks the disk for nothing.
	if err := a.syncNow(); err != nil {
		return Run{}, err
	}

	runEnd := a.file.Size()

	// 3. The marker. A crash leaves a part of it, which is no marker, or all of it: then the run is complete.
	content, m, err := markerContent(a.fill(m))
	if err != nil {
		return Run{}, err
	}
	a.open()
	a.cur.m.Marker, a.cur.m.First = true, 0
	a.cur.tar = appendMarker(a.cur.tar, m, content)
	a.tar += int64(len(a.cur.tar))
	a.d.put(a.cur)
	a.cur = nil
	if err := a.d.flush(); err != nil {
		return Run{}, err
	}

	// 4. Sync it. From here on the run is complete; of a file just made the name may be lost by a crash.
	//    Where that fails, the disk may lack a marker that is whole in memory, and no later sync would write it or say so: a next
	//    run would be appended behind a hole. So it is taken back, as well as that disk can.
	if err := a.syncNow(); err != nil {
		return Run{}, errors.Join(err, a.file.CutBack(runEnd))
	}

	// 5. Sync the name of a file that may be new. Now the run is complete for good.
	if a.unnamed && !a.later {
		if err := durable.SyncDir(filepath.Dir(a.Path())); err != nil {
			return Run{}, err
		}
		a.unnamed = false
	}

	a.last, a.ok = Run{Marker: m, Start: a.start, End: Position{File: a.file.Size(), Tar: a.tar}}, true
	a.begin(m.Digest)
	return a.last, nil
}

func (a *Appender) syncNow() error {
	if a.later {
		return nil
	}
	return a.file.Sync()
}

// fill fills in what the archive knows of a run.
func (a *Appender) fill(m Marker) Marker {
	m.Format, m.Run, m.Offset = Version, max(m.Run, 1), a.tar
	m.Digest = hex.EncodeToString(a.digest.Sum(nil))
	m.Begun, m.Ended = m.Begun.UTC().Truncate(time.Second), m.Ended.UTC().Truncate(time.Second)
	if a.ok {
		m.Run = max(m.Run, a.last.Run+1)
		if m.Begun.Before(a.last.Begun) {
			m.Begun = a.last.Begun
		}
	}
	if m.Ended.Before(m.Begun) {
		m.Ended = m.Begun
	}
	return m
}

// begin begins a run behind one with a digest.
func (a *Appender) begin(digest string) {
	sum, _ := parseDigest(digest) // it was computed or checked
	a.digest.Reset()
	a.digest.Write(sum)
	a.start = a.tar
}

// Sync makes all runs durable of an Appender whose Finish does not (AppendOptions.SyncLater).
func (a *Appender) Sync() error {
	if err := a.usable(); err != nil {
		return err
	}
	if err := a.file.Sync(); err != nil {
		return a.poison(err)
	}
	return nil
}

// Close closes the file. What was added since the last Finish did not happen; the next OpenAppend moves it aside.
func (a *Appender) Close() error {
	if a.d == nil {
		return nil
	}
	a.d.stop()
	a.d, a.cur = nil, nil
	return a.file.Close()
}

var errClosed = errors.New("the archive is closed")

// usable returns why nothing can be added any more.
func (a *Appender) usable() error {
	if a.d == nil {
		return fmt.Errorf("%s: %w", a.Path(), errClosed)
	}
	if a.failed == nil {
		if err := a.d.failed(); err != nil {
			a.failed = err
		}
	}
	if a.failed != nil {
		return fmt.Errorf("%s: %w: %w", a.Path(), ErrPoisoned, a.failed)
	}
	return nil
}

func (a *Appender) poison(err error) error {
	a.failed = err
	return err
}
