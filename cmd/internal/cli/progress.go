package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// redraw is how often the line changes at most: the eye reads no faster, and a run calls thousands of times a second.
const redraw = 100 * time.Millisecond

// Progress is one line on a terminal that says how far things are. On anything else it is silent. It is safe for
// concurrent use.
type Progress struct {
	f *os.File // nil: silent

	mu    sync.Mutex
	last  time.Time
	shown bool
}

// NewProgress shows progress on f if it is a terminal; on nil never.
func NewProgress(f *os.File) *Progress {
	if f != nil && !term.IsTerminal(int(f.Fd())) {
		f = nil
	}
	return &Progress{f: f}
}

// Show replaces the line, unless it was replaced a moment ago.
func (p *Progress) Show(format string, args ...any) {
	if p.f == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) < redraw {
		return
	}
	p.last, p.shown = time.Now(), true
	line := []rune(Clean(fmt.Sprintf(format, args...)))
	if width, _, err := term.GetSize(int(p.f.Fd())); err == nil && width > 1 && len(line) > width-1 {
		line = line[:width-1]
	}
	fmt.Fprintf(p.f, "\r\x1b[K%s", string(line))
}

// Clear takes the line away, so that something else can be printed.
func (p *Progress) Clear() {
	if p.f == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.f, "\r\x1b[K")
		p.shown = false
	}
}
