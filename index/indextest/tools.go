package indextest

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"backupfs/archive"
	"backupfs/internal/tartools"
)

// Tools returns an error if GNU tar or Python's tarfile see anything else than archive.Scanner does in an archive below root. Left
// out are those that a test damaged, and those that a run ends in the middle of: no tool reads half a member.
func Tools(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(path, ".tar.gz") {
			return err
		}
		return tools(path)
	})
}

func tools(path string) error {
	want, names, contents, err := scan(path)
	if errors.Is(err, archive.ErrDamaged) || err == nil && len(want) == 0 {
		return nil // tar complains of an archive without an entry
	}
	if err != nil {
		return err
	}
	got, err := tartools.Tarfile(path)
	if err != nil {
		return err
	}
	for i, w := range want {
		if i == len(got) {
			return fmt.Errorf("%s: tarfile does not see %s", path, w)
		}
		if w.Name == archive.MarkerName && got[i].Name == w.Name {
			continue // a scan says what it means
		}
		if got[i] != w {
			return fmt.Errorf("%s: tarfile sees %s, archive.Scanner %s", path, got[i], w)
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("%s: tarfile sees %s, archive.Scanner does not", path, got[len(want)])
	}
	listed, all, err := tartools.Tar(path, archive.MarkerName)
	switch {
	case err != nil:
		return err
	case listed != names:
		return fmt.Errorf("%s: tar -t lists\n%s\nand archive.Scanner\n%s", path, listed, names)
	case all != contents:
		return fmt.Errorf("%s: tar -x yields contents of SHA-1 %s, and archive.Scanner of %s", path, all, contents)
	}
	return nil
}

// scan returns all entries of an archive, a line with the name of each, and the SHA-1 of all contents but the markers'. Nothing, if the
// archive does not end with a run.
func scan(path string) (found []tartools.Entry, names, contents string, err error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, "", "", err
	}
	defer a.Close()
	end, err := a.Complete(archive.Position{})
	if err != nil {
		return nil, "", "", err
	}
	if info, err := os.Stat(path); err != nil || info.Size() != end.File {
		return nil, "", "", err
	}
	all := sha1.New()
	add := func(e tartools.Entry, name string) {
		found = append(found, e)
		names += name + "\n"
	}
	s := a.Scan(archive.Position{}, end, archive.ScanOptions{})
	for {
		ev, err := s.Next()
		if err == io.EOF {
			return found, names, fmt.Sprintf("%x", all.Sum(nil)), nil
		}
		if err != nil {
			return nil, "", "", err
		}
		switch {
		case ev.Kind == archive.EventEntry:
			one, e := sha1.New(), ev.Entry
			if _, err := io.Copy(io.MultiWriter(one, all), ev.Body); err != nil {
				return nil, "", "", err
			}
			add(tartools.Entry{Name: strings.TrimRight(e.Name, "/"), Linkname: e.Linkname, Type: string(e.Type), Size: e.Size,
				Mtime: e.Mtime, Data: e.Data, SHA1: fmt.Sprintf("%x", one.Sum(nil))}, e.Name)
		case ev.Kind == archive.EventRun && !ev.Run.Inferred: // another tool wrote no marker
			add(tartools.Entry{Name: archive.MarkerName}, archive.MarkerName)
		}
	}
}
