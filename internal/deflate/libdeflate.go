//go:build cgo && !purego

package deflate

// #cgo LDFLAGS: -ldeflate
// #include <libdeflate.h>
import "C"

import (
	"errors"
	"runtime"
	"sync"
	"unsafe"
)

// Compressor compresses buffers. One goroutine uses it.
type Compressor struct {
	c *C.struct_libdeflate_compressor
}

// NewCompressor returns a compressor that the caller must close.
func NewCompressor(level int) (*Compressor, error) {
	if err := checkLevel(level); err != nil {
		return nil, err
	}
	c := C.libdeflate_alloc_compressor(C.int(level))
	if c == nil {
		return nil, errors.New("libdeflate: no memory for a compressor")
	}
	return &Compressor{c}, nil
}

// Close frees the compressor.
func (c *Compressor) Close() {
	C.libdeflate_free_compressor(c.c)
	c.c = nil
}

// Compress appends the compressed src to dst.
func (c *Compressor) Compress(dst, src []byte) []byte {
	bound := int(C.libdeflate_deflate_compress_bound(c.c, C.size_t(len(src))))
	if cap(dst)-len(dst) < bound {
		dst = append(make([]byte, 0, len(dst)+bound), dst...)
	}
	room := dst[len(dst):cap(dst)]
	n := C.libdeflate_deflate_compress(c.c,
		unsafe.Pointer(unsafe.SliceData(src)), C.size_t(len(src)),
		unsafe.Pointer(unsafe.SliceData(room)), C.size_t(len(room)))
	return dst[:len(dst)+int(n)]
}

type decompressor struct {
	d *C.struct_libdeflate_decompressor
}

// decompressors keeps one for each goroutine that inflates just now; what the pool drops is freed.
var decompressors = sync.Pool{New: func() any {
	d := &decompressor{C.libdeflate_alloc_decompressor()}
	if d.d != nil {
		runtime.AddCleanup(d, func(d *C.struct_libdeflate_decompressor) { C.libdeflate_free_decompressor(d) }, d.d)
	}
	return d
}}

// Inflate inflates the stream at the start of src into dst. It returns how many bytes of dst it filled, and how many of
// src the stream takes. ErrCorrupt, or ErrSpace if dst is too small.
func Inflate(dst, src []byte) (n, consumed int, err error) {
	d := decompressors.Get().(*decompressor)
	defer decompressors.Put(d)
	if d.d == nil {
		return 0, 0, errors.New("libdeflate: no memory for a decompressor")
	}
	var in, out C.size_t
	switch C.libdeflate_deflate_decompress_ex(d.d,
		unsafe.Pointer(unsafe.SliceData(src)), C.size_t(len(src)),
		unsafe.Pointer(unsafe.SliceData(dst)), C.size_t(len(dst)), &in, &out) {
	case C.LIBDEFLATE_SUCCESS:
		return int(out), int(in), nil
	case C.LIBDEFLATE_INSUFFICIENT_SPACE:
		return 0, 0, ErrSpace
	default:
		return 0, 0, ErrCorrupt
	}
}
