// Package compose writes mail that nobody sent, for fixtures and benchmarks. The same seed gives the same bytes,
// on every machine: messages of all shapes that a mail server meets, which gzip about as well as real ones.
package compose

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// Composer writes messages. It is not safe for concurrent use.
type Composer struct {
	rnd   *rand.Rand
	names []string // made-up words, so that the vocabulary is as wide as in real mail
	n     int      // messages written so far
}

// New returns a composer whose mail depends on the seed alone.
func New(seed uint64) *Composer {
	c := &Composer{rnd: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
	for range 4000 {
		var w strings.Builder
		for range 2 + c.rnd.IntN(2) {
			w.WriteString(onsets[c.rnd.IntN(len(onsets))] + nuclei[c.rnd.IntN(len(nuclei))])
		}
		c.names = append(c.names, w.String())
	}
	return c
}

// Size draws the size of a message: median 3.5 kB, mean 5.3 kB, at least 600 bytes, at most 1 MiB.
func (c *Composer) Size() int {
	return int(min(max(3500*math.Exp(0.91*c.rnd.NormFloat64()), 600), 1<<20))
}

// Message returns a message of about size bytes, of a shape by chance: text in ASCII, UTF-8, quoted-printable,
// with an alternative in HTML, or with an attachment.
func (c *Composer) Message(size int, date time.Time) []byte {
	shape := c.rnd.IntN(10)
	text := max(size-600, 80)
	switch {
	case shape < 4:
		return c.render("", date, "text/plain; charset=us-ascii", "7bit", c.text(text, false))
	case shape < 6:
		return c.render("Grüße aus "+c.capital()+", "+c.words(2), date, "text/plain; charset=utf-8", "8bit", c.text(text, true))
	case shape < 7:
		return c.render("Réunion: "+c.words(3), date, "text/plain; charset=utf-8", "quoted-printable", quoted(c.text(text*9/10, true)))
	case shape < 9:
		plain := c.text(text/3, false)
		return c.multipart("alternative", date,
			part{"text/plain; charset=us-ascii", "7bit", plain},
			part{"text/html; charset=us-ascii", "7bit", c.html(text * 2 / 3)})
	default:
		raw := make([]byte, text/3)
		for i := range raw {
			raw[i] = byte(c.rnd.Uint32())
		}
		return c.multipart("mixed", date,
			part{"text/plain; charset=us-ascii", "7bit", c.text(text/2, false)},
			part{"application/octet-stream; name=" + c.name() + ".bin", "base64", wrapped(raw)})
	}
}

// Plain returns a short message in ASCII with this subject and text; lines end in LF.
func (c *Composer) Plain(subject, text string, date time.Time) []byte {
	return c.render(subject, date, "text/plain; charset=us-ascii", "7bit", strings.ReplaceAll(text, "\n", "\r\n"))
}

// Exactly returns a message of exactly size bytes, at least 450.
func (c *Composer) Exactly(size int, date time.Time) []byte {
	subject := fmt.Sprintf("exactly %d bytes", size)
	m := c.render(subject, date, "text/plain; charset=us-ascii", "7bit", "")
	for line := 0; len(m) < size-2; line++ {
		n := min(70, size-2-len(m))
		if rest := size - 2 - len(m) - n; rest > 0 && rest < 3 {
			n -= 3
		}
		m = append(append(m, strings.Repeat(string(rune('a'+line%26)), n)...), "\r\n"...)
	}
	if len(m) != size {
		panic(fmt.Sprintf("compose: %d bytes instead of %d", len(m), size))
	}
	return m
}

type part struct{ mediaType, encoding, body string }

func (c *Composer) multipart(kind string, date time.Time, parts ...part) []byte {
	boundary := fmt.Sprintf("=_%016x", c.rnd.Uint64())
	var b strings.Builder
	for _, p := range parts {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n", boundary, p.mediaType, p.encoding, p.body)
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return c.render("", date, fmt.Sprintf("multipart/%s; boundary=%q", kind, boundary), "7bit", b.String())
}

// render puts a header before a body; an empty subject becomes one by chance.
func (c *Composer) render(subject string, date time.Time, mediaType, encoding, body string) []byte {
	c.n++
	from, to := c.name(), c.name()
	host := c.name() + ".example"
	if subject == "" {
		subject = c.capital() + " " + c.words(2+c.rnd.IntN(5))
	}
	stamp := date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")
	var b bytes.Buffer
	fmt.Fprintf(&b, "Received: from %s by mail.example with ESMTP id %x;\r\n\t%s\r\n", host, c.rnd.Uint32(), stamp)
	fmt.Fprintf(&b, "Message-ID: <%d.%x@%s>\r\nDate: %s\r\n", c.n, c.rnd.Uint64(), host, stamp)
	fmt.Fprintf(&b, "From: %s <%s@%s>\r\nTo: %s@example.org\r\n", capitalised(from), from, host, to)
	fmt.Fprintf(&b, "Subject: %s\r\nMIME-Version: 1.0\r\n", mime.QEncoding.Encode("utf-8", subject))
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s", mediaType, encoding, body)
	return b.Bytes()
}

// text is about size bytes of paragraphs, quoted lines among them.
func (c *Composer) text(size int, accents bool) string {
	var b strings.Builder
	for b.Len() < size {
		prefix := ""
		if c.rnd.IntN(4) == 0 {
			prefix = "> "
		}
		for range 1 + c.rnd.IntN(8) {
			line := prefix + c.sentence(accents)
			for len(line) > 74 {
				cut := strings.LastIndexByte(line[:74], ' ')
				if cut <= len(prefix) {
					break
				}
				b.WriteString(line[:cut] + "\r\n")
				line = prefix + line[cut+1:]
			}
			b.WriteString(line + "\r\n")
			if b.Len() >= size {
				break
			}
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

func (c *Composer) html(size int) string {
	var b strings.Builder
	b.WriteString("<html><body>\r\n")
	for b.Len() < size {
		fmt.Fprintf(&b, "<p style=\"margin:%dpx\"><a href=\"https://%s.example/%x\">%s</a> %s</p>\r\n",
			c.rnd.IntN(9), c.name(), c.rnd.Uint32(), c.words(2), c.sentence(false))
	}
	b.WriteString("</body></html>\r\n")
	return b.String()
}

func (c *Composer) sentence(accents bool) string {
	s := c.capital() + " " + c.words(3+c.rnd.IntN(12))
	if accents {
		s += " " + accented[c.rnd.IntN(len(accented))]
	}
	if c.rnd.IntN(6) == 0 {
		s += fmt.Sprintf(" %d", c.rnd.IntN(100000))
	}
	return s + "."
}

func (c *Composer) words(n int) string {
	w := make([]string, n)
	for i := range w {
		if c.rnd.IntN(10) == 0 {
			w[i] = c.name()
		} else {
			w[i] = c.pick(common)
		}
	}
	return strings.Join(w, " ")
}

func (c *Composer) name() string { return c.pick(c.names) }

func (c *Composer) capital() string { return capitalised(common[c.rnd.IntN(len(common))]) }

// pick prefers the front of a list: a few words make most of a text, as in any language.
func (c *Composer) pick(words []string) string {
	f := c.rnd.Float64()
	return words[int(f*f*f*float64(len(words)))]
}

// capitalised is for words that begin with an ASCII letter.
func capitalised(w string) string { return strings.ToUpper(w[:1]) + w[1:] }

func quoted(s string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		panic(err) // a strings.Builder cannot fail
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func wrapped(raw []byte) string {
	s := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}
