package index

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"backupfs/cyrus"
)

// Exceptions is cyrus.backupfs, see docs/format.md: what the other files of a folder cannot say.
type Exceptions struct {
	Fingerprint string // a word; empty if unknown
	Message     map[uint32]cyrus.GUID
	Missing     map[uint32]bool
}

// exceptionsMagic is the first line.
const exceptionsMagic = "backupfs-folder 1"

// Marshal writes the lines ordered by UID, a message before a missing of the same UID.
func (e Exceptions) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(exceptionsMagic + "\n")
	if e.Fingerprint != "" {
		fmt.Fprintf(&b, "fingerprint %s\n", e.Fingerprint)
	}
	uids := slices.AppendSeq(slices.Collect(maps.Keys(e.Message)), maps.Keys(e.Missing))
	slices.Sort(uids)
	for _, uid := range slices.Compact(uids) {
		if g, ok := e.Message[uid]; ok {
			fmt.Fprintf(&b, "message %d %s\n", uid, g)
		}
		if e.Missing[uid] {
			fmt.Fprintf(&b, "missing %d\n", uid)
		}
	}
	return b.Bytes()
}

// ParseExceptions reads cyrus.backupfs. Lines that it does not know are ignored; of known ones that say the same twice the
// last counts. An error names the line.
func ParseExceptions(b []byte) (Exceptions, error) {
	e := Exceptions{Message: map[uint32]cyrus.GUID{}, Missing: map[uint32]bool{}}
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line, ended := strings.CutSuffix(line, "\n")
		words := strings.Split(line, " ")
		if n == 1 {
			if line != exceptionsMagic || !ended {
				return Exceptions{}, fmt.Errorf("line 1 is not %q", exceptionsMagic)
			}
			continue
		}
		if err := e.line(words); err != nil || !ended {
			return Exceptions{}, fmt.Errorf("line %d %q: %w", n, line, orCut(err))
		}
	}
	if n == 0 {
		return Exceptions{}, fmt.Errorf("line 1 is not %q", exceptionsMagic)
	}
	return e, nil
}

func orCut(err error) error {
	if err == nil {
		err = fmt.Errorf("it is cut off")
	}
	return err
}

func (e *Exceptions) line(words []string) error {
	want := map[string]int{"fingerprint": 2, "message": 3, "missing": 2}[words[0]]
	if want == 0 {
		return nil
	}
	if len(words) != want {
		return fmt.Errorf("it has %d words, not %d", len(words), want)
	}
	if words[0] == "fingerprint" {
		e.Fingerprint = words[1]
		return nil
	}
	uid, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return err
	}
	if words[0] == "missing" {
		e.Missing[uint32(uid)] = true
		return nil
	}
	g, err := cyrus.ParseGUID(words[2])
	if err != nil {
		return err
	}
	e.Message[uint32(uid)] = g
	return nil
}
