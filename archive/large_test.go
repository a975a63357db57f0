package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

const blockOfLarge = 64 << 10

// largeReader yields a message of mostly zeros, in which each 64 KiB begin with their number, and watches the heap.
type largeReader struct {
	at, size int64
	heap     *heapWatch
}

func (r *largeReader) Read(p []byte) (int, error) {
	if r.at == r.size {
		return 0, io.EOF
	}
	at := r.at % blockOfLarge
	n := int(min(int64(len(p)), r.size-r.at, blockOfLarge-at))
	clear(p[:n])
	if at == 0 {
		r.heap.look()
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], uint64(r.at/blockOfLarge))
		copy(p[:n], b[:])
	}
	r.at += int64(n)
	return n, nil
}

// heapWatch keeps the most that was seen of the heap.
type heapWatch struct {
	n    int
	most uint64
}

func (h *heapWatch) look() {
	if h.n++; h.n%1024 == 0 {
		runtime.GC() // what is garbage, of other tests too, is no use of memory
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		h.most = max(h.most, m.HeapInuse)
	}
}

// A message of 3 GiB goes in and comes out in constant memory; one that a tar header cannot hold is refused with nothing written.
func TestLargeMessage(t *testing.T) {
	withoutSyncs(t)
	const size = 3<<30 + 1000
	begun := time.Now()
	heap := &heapWatch{}
	a, err := Create(t.TempDir(), day, AppendOptions{Level: 4, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(Entry{Name: "files/x", Type: TypeFile, Size: MaxSize + 1}, io.LimitReader(zeros{}, MaxSize+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("a message of 8 GiB: %v", err)
	}
	if st, err := os.Stat(a.Path()); err != nil || st.Size() != 0 {
		t.Fatalf("%v, %v", st, err)
	}
	if _, err := a.Add(Entry{Name: "files/large", Type: TypeFile, Size: size}, &largeReader{size: size, heap: heap}); err != nil {
		t.Fatal(err)
	}
	next, err := a.Add(Entry{Name: "meta/sub", Type: TypeFile, Size: 3}, bytes.NewReader([]byte("abc")))
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Finish(Marker{Begun: day})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, a)

	arch := mustOpen(t, a.Path())
	s := arch.Scan(Position{}, r.End, ScanOptions{})
	large := nextEntry(t, s)
	if err := checkLarge(large.Body, size, heap); err != nil {
		t.Fatal(err)
	}
	if e := nextEntry(t, s); e.Entry != next {
		t.Errorf("behind it: %+v, want %+v", e.Entry, next)
	}

	// Passing over it reads headers only.
	skipped := time.Now()
	s = arch.Scan(Position{}, r.End, ScanOptions{})
	nextEntry(t, s)
	if e := nextEntry(t, s); e.Entry != next {
		t.Errorf("behind it, skipped: %+v, want %+v", e.Entry, next)
	}
	t.Logf("%v in all, skipping it %v, heap %d MiB", time.Since(begun), time.Since(skipped), heap.most>>20)
	if heap.most > 64<<20 {
		t.Errorf("the heap had %d MiB", heap.most>>20)
	}
}

func checkLarge(r io.Reader, size int64, heap *heapWatch) error {
	block := make([]byte, blockOfLarge)
	zero := make([]byte, blockOfLarge)
	for n := int64(0); n*blockOfLarge < size; n++ {
		b := block[:min(blockOfLarge, size-n*blockOfLarge)]
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		if binary.BigEndian.Uint64(b) != uint64(n) || !bytes.Equal(b[8:], zero[:len(b)-8]) {
			return fmt.Errorf("block %d differs", n)
		}
		heap.look()
	}
	if n, err := r.Read(block); n != 0 || err != io.EOF {
		return fmt.Errorf("behind the end: %d bytes, %v", n, err)
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
