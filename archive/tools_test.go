package archive

import (
	"bytes"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// pythonList prints what Python's tarfile sees: a JSON list of name, link name, type, size, mtime, SHA-1.
const pythonList = `
import gzip, hashlib, io, json, sys, tarfile
data = gzip.open(sys.argv[1]).read()
out = []
with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
    for m in tar:
        body = data[m.offset_data:m.offset_data+m.size]
        out.append([m.name.rstrip('/'), m.linkname, m.type.decode(), m.size, m.mtime, hashlib.sha1(body).hexdigest(), m.offset_data])
json.dump(out, sys.stdout)
`

// checkTools compares a model with what tools that know nothing of us say.
func checkTools(t fataler, path string, model []modelRun) {
	t.Helper()
	var want []modelEntry
	for _, run := range model {
		want = append(want, run.entries...)
		want = append(want, modelEntry{Entry: Entry{Name: MarkerName}})
	}

	out, err := exec.Command("python3", "-c", pythonList, path).CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, out)
	}
	var got [][]any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("Python sees %d entries, want %d", len(got), len(want))
	}
	for i, e := range want {
		if e.Name == MarkerName {
			if got[i][0] != MarkerName {
				t.Errorf("Python sees %v, want a marker", got[i])
			}
			continue
		}
		line := fmt.Sprintf("%s %s %c %d %d %x %d", strings.TrimRight(e.Name, "/"), e.Linkname, e.Type, e.Size, e.Mtime, sha1.Sum(e.content), e.Data)
		g := got[i]
		if s := fmt.Sprintf("%s %s %s %.0f %.0f %s %.0f", g...); s != line {
			t.Errorf("Python sees %q, want %q", s, line)
		}
	}

	// GNU tar: names, and the content of all files one after the other.
	names, err := exec.Command("bash", "-c", `zcat "$1" | tar -t --quoting-style=literal`, "-", path).Output()
	if err != nil {
		t.Fatalf("tar -t: %v", err)
	}
	all, err := exec.Command("bash", "-c", `zcat "$1" | tar -xO --exclude=meta/snapshot`, "-", path).Output()
	if err != nil {
		t.Fatalf("tar -xO: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	var wantNames, wantAll bytes.Buffer
	for _, e := range want {
		fmt.Fprintln(&wantNames, e.Name)
		wantAll.Write(e.content)
	}
	if !bytes.Equal(names, wantNames.Bytes()) {
		t.Errorf("tar -t sees\n%s\nwant\n%s", names, wantNames.Bytes())
	}
	if !bytes.Equal(all, wantAll.Bytes()) {
		t.Errorf("tar -xO yields %d bytes, want %d, or they differ", len(all), wantAll.Len())
	}
}
