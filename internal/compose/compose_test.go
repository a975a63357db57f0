package compose

import (
	"bytes"
	"net/mail"
	"testing"
	"time"
)

var date = time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC)

func TestSameSeedSameBytes(t *testing.T) {
	a, b, other := New(1), New(1), New(2)
	for range 50 {
		m := a.Message(a.Size(), date)
		if !bytes.Equal(m, b.Message(b.Size(), date)) {
			t.Fatal("two composers of one seed differ")
		}
		if bytes.Equal(m, other.Message(other.Size(), date)) {
			t.Fatal("two seeds gave the same message")
		}
	}
}

func TestMessagesParse(t *testing.T) {
	c := New(3)
	for range 200 {
		size := c.Size()
		m := c.Message(size, date)
		if len(m) < size/2 || len(m) > size*3/2+1000 {
			t.Errorf("asked for about %d bytes, got %d", size, len(m))
		}
		p, err := mail.ReadMessage(bytes.NewReader(m))
		if err != nil {
			t.Fatalf("%v\n%s", err, m)
		}
		if d, err := p.Header.Date(); err != nil || !d.Equal(date) {
			t.Errorf("date %v, %v", d, err)
		}
		if bytes.Contains(bytes.ReplaceAll(m, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("a bare LF in\n%s", m)
		}
	}
}

func TestExactly(t *testing.T) {
	c := New(4)
	for size := 512; size < 2100; size++ {
		if m := c.Exactly(size, date); len(m) != size {
			t.Fatalf("asked for %d bytes, got %d", size, len(m))
		}
	}
}
