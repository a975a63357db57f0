package deflate

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"
	"time"

	"backupfs/internal/compose"
)

// mustMember returns 256 KiB of composed mail, as much as a member of an archive holds, and the same deflated.
func mustMember(b *testing.B) (text, packed []byte) {
	b.Helper()
	mail := compose.New(1)
	for len(text) < 256<<10 {
		text = append(text, mail.Message(mail.Size(), time.Unix(1259443200, 0))...)
	}
	text = text[:256<<10]
	c, err := NewCompressor(6)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	return text, c.Compress(nil, text)
}

func BenchmarkInflate(b *testing.B) {
	text, packed := mustMember(b)
	dst := make([]byte, len(text))
	for name, inflate := range map[string]func(dst, src []byte) (int, int, error){"libdeflate": Inflate, "klauspost": pureInflate} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, _, err := inflate(dst, packed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("standard", func(b *testing.B) {
		r := flate.NewReader(nil)
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if err := r.(flate.Resetter).Reset(bytes.NewReader(packed), nil); err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	text, _ := mustMember(b)
	c, err := NewCompressor(6)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	pure, err := newPureCompressor(6)
	if err != nil {
		b.Fatal(err)
	}
	for name, compress := range map[string]func(dst, src []byte) []byte{"libdeflate": c.Compress, "klauspost": pure.Compress} {
		b.Run(name, func(b *testing.B) {
			var packed []byte
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				packed = compress(packed[:0], text)
			}
		})
	}
	b.Run("standard", func(b *testing.B) {
		w, err := flate.NewWriter(io.Discard, 6)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			w.Reset(io.Discard)
			if _, err := w.Write(text); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
