package deflate

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// pureCompressor and pureInflate are compiled always, so that one test holds them against libdeflate.
type pureCompressor struct{ w *flate.Writer }

func newPureCompressor(level int) (*pureCompressor, error) {
	if err := checkLevel(level); err != nil {
		return nil, err
	}
	w, err := flate.NewWriter(io.Discard, min(level, flate.BestCompression))
	if err != nil {
		return nil, err
	}
	return &pureCompressor{w}, nil
}

func (c *pureCompressor) Close() {}

func (c *pureCompressor) Compress(dst, src []byte) []byte {
	buf := bytes.NewBuffer(dst)
	c.w.Reset(buf)
	_, _ = c.w.Write(src) // a bytes.Buffer does not fail
	_ = c.w.Close()
	return buf.Bytes()
}

var pureReaders = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

func pureInflate(dst, src []byte) (n, consumed int, err error) {
	r := pureReaders.Get().(io.ReadCloser)
	defer pureReaders.Put(r)
	in := bytes.NewReader(src) // a ByteReader: nothing is read beyond the stream's end
	if err := r.(flate.Resetter).Reset(in, nil); err != nil {
		return 0, 0, err
	}
	n, err = io.ReadFull(r, dst)
	switch {
	case err == nil:
		var more [1]byte
		if k, err := io.ReadFull(r, more[:]); k > 0 {
			return 0, 0, ErrSpace
		} else if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, 0, ErrCorrupt
		}
	case errors.Is(err, io.ErrUnexpectedEOF) && atEnd(r), err == io.EOF:
		// dst is longer than what the stream holds
	default:
		return 0, 0, ErrCorrupt
	}
	return n, len(src) - in.Len(), nil
}

// atEnd tells a stream that has ended, and only says so again, from one that was cut: ReadFull says ErrUnexpectedEOF for both.
func atEnd(r io.Reader) bool {
	var b [1]byte
	n, err := r.Read(b[:])
	return n == 0 && err == io.EOF
}
