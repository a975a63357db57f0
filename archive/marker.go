package archive

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// markerContent is the line of JSON, and the marker that it says: of skipped folders it names as many as fit.
func markerContent(m Marker) ([]byte, Marker, error) {
	for {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m); err != nil {
			return nil, m, fmt.Errorf("run's marker: %w", err)
		}
		if buf.Len() <= maxMarker {
			return buf.Bytes(), m, nil
		}
		if len(m.Skipped) < 2 {
			return nil, m, fmt.Errorf("run's marker has %d bytes: %w", buf.Len(), ErrEntry)
		}
		half := len(m.Skipped) / 2
		m.Skipped = append(m.Skipped[:half:half], "...")
	}
}

// appendMarker appends the entry of a marker, whose content that is, padded.
func appendMarker(dst []byte, m Marker, content []byte) []byte {
	sum := sha1.Sum(content)
	dst = appendHeader(dst, Entry{
		Name:     MarkerName,
		Linkname: hex.EncodeToString(sum[:]),
		Type:     TypeFile,
		Size:     int64(len(content)),
		Mtime:    m.Begun.Unix(),
	})
	dst = append(dst, content...)
	return append(dst, make([]byte, padded(int64(len(content)))-int64(len(content)))...)
}

// parseMarker reads the tar of a marker's member, which begins at offset in the stream.
func parseMarker(tar []byte, offset int64) (Marker, error) {
	if len(tar) < BlockSize {
		return Marker{}, errors.New("run's marker is cut off")
	}
	e, err := parseHeader((*[BlockSize]byte)(tar))
	if err != nil {
		return Marker{}, err
	}
	if e.Name != MarkerName || e.Size > int64(len(tar)) || BlockSize+padded(e.Size) != int64(len(tar)) {
		return Marker{}, fmt.Errorf("a marker should stand here, and nothing else; %q of %d bytes does", e.Name, e.Size)
	}
	var m Marker
	if err := json.Unmarshal(tar[BlockSize:BlockSize+e.Size], &m); err != nil {
		return Marker{}, fmt.Errorf("run's marker: %w", err)
	}
	_, err = m.digest()
	switch {
	case m.Format > Version:
		return Marker{}, fmt.Errorf("run's marker: %w: %d", ErrVersion, m.Format)
	case m.Format < 1 || m.Run < 1:
		return Marker{}, fmt.Errorf("run's marker: format %d, run %d", m.Format, m.Run)
	case m.Offset != offset:
		return Marker{}, fmt.Errorf("run's marker belongs at %d of the tar and stands at %d", m.Offset, offset)
	case err != nil:
		return Marker{}, fmt.Errorf("run's marker: digest: %w", err)
	}
	m.Begun, m.Ended, m.Clock = m.Begun.UTC().Truncate(time.Second), m.Ended.UTC().Truncate(time.Second), m.Clock.UTC().Truncate(time.Second)
	return m, nil
}

// digest is the marker's digest as bytes.
func (m Marker) digest() ([]byte, error) { return parseDigest(m.Digest) }

func parseDigest(s string) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != 32 {
		err = fmt.Errorf("%d bytes", len(b))
	}
	return b, err
}

// marker reads the marker in a member.
func (a *Archive) marker(m Member) (Marker, error) {
	tar, err := a.Inflate(m, nil)
	if err != nil {
		return Marker{}, err
	}
	mark, err := parseMarker(tar, m.Tar)
	if err != nil {
		return Marker{}, a.damaged(m.File, err)
	}
	return mark, nil
}
