package deflate

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

type codec struct {
	name     string
	compress func(t *testing.T, level int, dst, src []byte) []byte
	inflate  func(dst, src []byte) (int, int, error)
}

var codecs = []codec{
	{"selected", func(t *testing.T, level int, dst, src []byte) []byte {
		c, err := NewCompressor(level)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Compress(dst, src)
	}, Inflate},
	{"pure", func(t *testing.T, level int, dst, src []byte) []byte {
		c, err := newPureCompressor(level)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.Compress(dst, src)
	}, pureInflate},
}

func vectors() map[string][]byte {
	random := make([]byte, 300<<10)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(random)
	return map[string][]byte{
		"empty":  {},
		"byte":   {7},
		"text":   bytes.Repeat([]byte("Received: from mail.example.com\r\n"), 9000),
		"zeros":  make([]byte, 256<<10),
		"random": random,
	}
}

// What one writes, both read, at every level, with the stream's end found exactly.
func TestCodecsAgree(t *testing.T) {
	for name, want := range vectors() {
		for _, w := range codecs {
			for level := MinLevel; level <= MaxLevel; level++ {
				stream := w.compress(t, level, []byte("head"), want)
				if !bytes.HasPrefix(stream, []byte("head")) {
					t.Fatalf("%s by %s: what stood in dst is lost", name, w.name)
				}
				stream = stream[4:]
				for _, r := range codecs {
					dst := make([]byte, len(want))
					n, consumed, err := r.inflate(dst, append(bytes.Clone(stream), "tail"...))
					if err != nil || n != len(want) || consumed != len(stream) || !bytes.Equal(dst, want) {
						t.Fatalf("%s, level %d, %s to %s: n %d of %d, consumed %d of %d, %v",
							name, level, w.name, r.name, n, len(want), consumed, len(stream), err)
					}
					if n, _, err := r.inflate(make([]byte, len(want)+100), stream); err != nil || n != len(want) {
						t.Fatalf("%s: %s into a larger buffer: %d, %v", name, r.name, n, err)
					}
				}
			}
		}
	}
}

func TestInflateRefuses(t *testing.T) {
	for name, want := range vectors() {
		stream := codecs[1].compress(t, 6, nil, want)
		for _, r := range codecs {
			if len(want) > 0 {
				if _, _, err := r.inflate(make([]byte, len(want)-1), stream); !errors.Is(err, ErrSpace) {
					t.Errorf("%s: %s into a buffer too small: %v", name, r.name, err)
				}
			}
			for cut := range min(len(stream), 500) {
				if _, _, err := r.inflate(make([]byte, len(want)), stream[:cut]); err == nil {
					t.Fatalf("%s: %s takes %d of %d bytes for a stream", name, r.name, cut, len(stream))
				}
			}
		}
	}
	for _, r := range codecs {
		if _, _, err := r.inflate(make([]byte, 10), []byte{0xff, 0xff, 0xff}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s of rubbish: %v", r.name, err)
		}
	}
	for _, level := range []int{MinLevel - 1, MaxLevel + 1} {
		if _, err := NewCompressor(level); err == nil {
			t.Errorf("level %d is taken", level)
		}
	}
}

func FuzzInflate(f *testing.F) {
	for _, v := range vectors() {
		f.Add(codecs[1].compress(nil, 6, nil, v[:min(len(v), 2000)]), 2000)
	}
	f.Fuzz(func(t *testing.T, stream []byte, room int) {
		room = max(0, min(room, 1<<20))
		a, b := make([]byte, room), make([]byte, room)
		n, c, err := Inflate(a, stream)
		pn, pc, perr := pureInflate(b, stream)
		if err != nil || perr != nil {
			return // they need not agree about what is damaged
		}
		if n != pn || c != pc || !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("%d, %d and %d, %d", n, c, pn, pc)
		}
	})
}
