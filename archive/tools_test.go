package archive

import (
	"crypto/sha1"
	"fmt"
	"strings"

	"backupfs/internal/tartools"
)

// checkTools compares a model with what tools that know nothing of us say.
func checkTools(t fataler, path string, model []modelRun) {
	t.Helper()
	var want []modelEntry
	for _, run := range model {
		want = append(want, run.entries...)
		want = append(want, modelEntry{Entry: Entry{Name: MarkerName}})
	}
	got, err := tartools.Tarfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("Python sees %d entries, want %d", len(got), len(want))
	}
	var names strings.Builder
	var contents [][]byte
	for i, e := range want {
		fmt.Fprintln(&names, e.Name)
		contents = append(contents, e.content)
		w := tartools.Entry{Name: strings.TrimRight(e.Name, "/"), Linkname: e.Linkname, Type: string(e.Type), Size: e.Size, Mtime: e.Mtime,
			Data: e.Data, SHA1: fmt.Sprintf("%x", sha1.Sum(e.content))}
		if e.Name == MarkerName && got[i].Name == MarkerName {
			continue
		}
		if got[i] != w {
			t.Errorf("Python sees %s, want %s", got[i], w)
		}
	}
	listed, all, err := tartools.Tar(path, MarkerName)
	if err != nil {
		t.Fatal(err)
	}
	if listed != names.String() {
		t.Errorf("tar -t sees\n%s\nwant\n%s", listed, names.String())
	}
	if all != tartools.Sum(contents...) {
		t.Errorf("tar -xO yields other contents")
	}
}
