//go:build !cgo || purego

package deflate

// Compressor compresses buffers. One goroutine uses it.
type Compressor = pureCompressor

// NewCompressor returns a compressor that the caller must close.
func NewCompressor(level int) (*Compressor, error) { return newPureCompressor(level) }

// Inflate inflates the stream at the start of src into dst. It returns how many bytes of dst it filled, and how many of
// src the stream takes. ErrCorrupt, or ErrSpace if dst is too small.
func Inflate(dst, src []byte) (n, consumed int, err error) { return pureInflate(dst, src) }
