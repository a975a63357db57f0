package archive

import (
	"errors"
	"fmt"
)

var errLongName = errors.New("a name is too long")

// walker follows the entries of a tar stream that is written to it, to know where one ends. A Write fails where no header
// stands that should.
type walker struct {
	block [BlockSize]byte
	have  int   // bytes of a header in block
	left  int64 // bytes of an entry's content and padding
	long  bool  // an L or K entry came, its file's header did not
}

// aligned reports whether the stream stands behind the last byte of an entry.
func (w *walker) aligned() bool { return w.have == 0 && w.left == 0 && !w.long }

func (w *walker) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if w.left > 0 {
			n := min(w.left, int64(len(rest)))
			w.left -= n
			rest = rest[n:]
			continue
		}
		n := copy(w.block[w.have:], rest)
		w.have += n
		rest = rest[n:]
		if w.have < BlockSize {
			break
		}
		w.have = 0
		if !w.long && w.block == ([BlockSize]byte{}) {
			continue
		}
		e, err := parseHeader(&w.block)
		long := e.Type == typeLongName || e.Type == typeLongLink
		if long && e.Size > MaxName+1 {
			err = errLongName
		}
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		w.left, w.long = contentSize(e), long
	}
	return len(p), nil
}
