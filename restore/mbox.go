package restore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Mbox is a file a folder, ROOT/INBOX/Contracts.mbox, in the form mboxrd: lines end with LF, and "From " at the start of one, with any
// number of > before it, gets one more >. Flags have no place in it. A file is written once: one that is there is refused.
type Mbox struct{ Root string }

type mboxPlace struct {
	path string
	f    *os.File // nil before the first message
	w    *bufio.Writer
	err  error // the file is not as it should be any more
}

// Place of a folder.
func (d Mbox) Place(_ context.Context, f *Folder) (Place, error) {
	path := filepath.Join(append([]string{d.Root}, f.Path...)...) + ".mbox"
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist})
	}
	return &mboxPlace{path: path}, nil
}

func (p *mboxPlace) Name() string { return p.path }

func (p *mboxPlace) Absent() bool { return true }

func (p *mboxPlace) Has(context.Context) (Held, error) { return heldIn(nil), nil }

func (p *mboxPlace) open() error {
	if p.err != nil || p.f != nil {
		return p.err
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	if p.f, p.err = os.OpenFile(p.path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); p.err != nil {
		return p.err
	}
	p.w = bufio.NewWriterSize(p.f, 64<<10)
	return nil
}

// Put appends a message. One that breaks off is cut off again.
func (p *mboxPlace) Put(m *Message) error {
	if err := p.open(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	start, err := p.f.Seek(0, 1)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.w, "From MAILER-DAEMON %s\n", m.Date().Format(time.ANSIC)); err != nil {
		return err
	}
	quoted := mboxWriter{w: p.w, start: true}
	err = errors.Join(m.copyTo(&quoted), quoted.end(), p.w.Flush())
	if err != nil {
		p.w.Reset(p.f)
		_, seekErr := p.f.Seek(start, 0)
		p.err = errors.Join(p.f.Truncate(start), seekErr)
	}
	return err
}

// Commit gives the file its name.
func (p *mboxPlace) Commit(context.Context) (map[uint32]uint32, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	return nil, os.Link(p.path+".part", p.path) // never over one that came meanwhile
}

func (p *mboxPlace) Close() error {
	if p.f == nil {
		return nil
	}
	return errors.Join(p.f.Close(), os.Remove(p.path+".part"))
}

// mboxWriter quotes what could be taken for the start of a message, and leaves the CR before an LF out.
type mboxWriter struct {
	w     *bufio.Writer
	start bool // of a line: held is all that it has so far
	held  []byte
	cr    bool // one was not written yet
}

const mboxFrom = "From "

// Write takes bytes of a message. Errors are kept by the bufio.Writer.
func (q *mboxWriter) Write(b []byte) (int, error) {
	for _, c := range b {
		if q.cr && c != '\n' {
			_ = q.w.WriteByte('\r')
		}
		if q.cr = c == '\r'; q.cr {
			q.begin(false)
			continue
		}
		if q.start {
			q.held = append(q.held, c)
			q.begin(q.undecided())
		} else {
			_ = q.w.WriteByte(c)
		}
		if c == '\n' {
			q.start = true
		}
	}
	return len(b), nil
}

// undecided: what is held may become "From " behind any number of >.
func (q *mboxWriter) undecided() bool {
	rest := q.held
	for len(rest) > 0 && rest[0] == '>' {
		rest = rest[1:]
	}
	return len(rest) < len(mboxFrom) && string(rest) == mboxFrom[:len(rest)]
}

// begin writes what is held, unless more of the line is needed to know how.
func (q *mboxWriter) begin(wait bool) {
	if !q.start || wait {
		return
	}
	if n := len(q.held) - len(mboxFrom); n >= 0 && string(q.held[n:]) == mboxFrom {
		_ = q.w.WriteByte('>')
	}
	_, _ = q.w.Write(q.held)
	q.start, q.held = false, q.held[:0]
}

// end ends a message: its last line, and an empty one.
func (q *mboxWriter) end() error {
	if q.cr {
		_ = q.w.WriteByte('\r')
	}
	unended := !q.start || len(q.held) > 0
	q.begin(false)
	if unended {
		_ = q.w.WriteByte('\n')
	}
	return q.w.WriteByte('\n')
}
