package backup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// lostEntry is where a repaired archive names what it lost.
const lostEntry = "meta/lost"

// Lost is an entry that a repair found lost for good (docs/format.md, meta/lost).
type Lost struct {
	Run  int    `json:"run"` // in which it was stored
	Name string `json:"name"`
	SHA1 string `json:"sha1,omitempty"`
	Size int64  `json:"size"`
}

func marshalLost(list []Lost) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, l := range list {
		_ = enc.Encode(l) // a buffer does not fail, nor do strings and numbers
	}
	return b.Bytes()
}

// parseLost hands each line on. Its memory does not grow with their number.
func parseLost(r io.Reader, each func(Lost)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 128<<10) // a name has 16 KiB at most
	for lines.Scan() {
		var l Lost
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%.80q: %w", lines.Text(), err)
		}
		each(l)
	}
	return lines.Err()
}
