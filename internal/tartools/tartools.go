// Package tartools tells what GNU tar and Python's tarfile, which know nothing of this program, see in an archive. Tests compare it
// with what they wrote.
package tartools

import (
	"bufio"
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// Entry is one entry of an archive. Marker entries ("meta/snapshot") are entries like others.
type Entry struct {
	Name     string // without a slash at its end, which tarfile takes off
	Linkname string
	Type     string // one digit
	Size     int64  // bytes
	Mtime    int64  // UNIX seconds
	Data     int64  // where the content begins in the inflated archive
	SHA1     string // of the content, hex
}

func (e Entry) String() string {
	return fmt.Sprintf("%q -> %q, type %s, %d bytes at %d, mtime %d, SHA-1 %s", e.Name, e.Linkname, e.Type, e.Size, e.Data, e.Mtime, e.SHA1)
}

// One Python answers all questions of a test's process: its start takes longer than most answers.
const script = `
import gzip, hashlib, io, json, sys, tarfile
for line in sys.stdin:
    try:
        data = gzip.open(json.loads(line)).read()
        entries = []
        if data: # tarfile does not open an empty one
          with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
            for m in tar:
                body = data[m.offset_data:m.offset_data + m.size]
                entries.append(dict(Name=m.name.rstrip("/"), Linkname=m.linkname, Type=m.type.decode(), Size=m.size, Mtime=int(m.mtime),
                    Data=m.offset_data, SHA1=hashlib.sha1(body).hexdigest()))
        answer = dict(Entries=entries)
    except Exception as e: # whatever it is, it is the answer
        answer = dict(Error=repr(e))
    print(json.dumps(answer), flush=True)
`

type python struct {
	mu   sync.Mutex
	in   *json.Encoder
	out  *json.Decoder
	fail error
}

// The process ends when the test's does, and its standard input with it.
var start = sync.OnceValue(func() *python {
	cmd := exec.Command("python3", "-c", script)
	in, err := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err = errors.Join(err, err2); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return &python{fail: err}
	}
	return &python{in: json.NewEncoder(in), out: json.NewDecoder(bufio.NewReader(out))}
})

// Tarfile returns what Python's tarfile sees.
func Tarfile(path string) ([]Entry, error) {
	p := start()
	if p.fail != nil {
		return nil, fmt.Errorf("python3: %w", p.fail)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var answer struct {
		Entries []Entry
		Error   string
	}
	if err := p.in.Encode(path); err != nil {
		return nil, fmt.Errorf("python3: %w", err)
	}
	if err := p.out.Decode(&answer); err != nil {
		return nil, fmt.Errorf("python3: %w", err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s: tarfile: %s", path, answer.Error)
	}
	return answer.Entries, nil
}

// Tar returns what GNU tar lists, each name with a newline behind it, and the SHA-1 of all that it extracts, one content behind the
// other, but for the files of the name left out.
func Tar(path, leftOut string) (names string, content string, err error) {
	if names, err = run(`zcat "$1" | tar -t --quoting-style=literal`, path); err != nil {
		return "", "", err
	}
	content, err = run(`zcat "$1" | tar -xO --exclude="$2" | sha1sum`, path, leftOut)
	return names, strings.TrimSuffix(strings.TrimSpace(content), "  -"), err
}

func run(script string, args ...string) (string, error) {
	cmd := exec.Command("bash", append([]string{"-o", "pipefail", "-c", script, "-"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %s: %w: %s", args[0], script, err, exit.Stderr)
	}
	return string(out), err
}

// Sum is the SHA-1 of contents one behind the other, as Tar returns it.
func Sum(contents ...[]byte) string {
	h := sha1.New()
	for _, c := range contents {
		h.Write(c)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
