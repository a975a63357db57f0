package restore

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"backupfs/cyrus"
)

// writeMessage makes a new file of a message, with its date, and leaves none behind that is not whole.
func writeMessage(path string, m *Message, mode fs.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err == nil {
			err = os.Chtimes(path, m.Date(), m.Date())
		}
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	return m.copyTo(f)
}

// guidsIn returns the digests of a folder's files, none where there is no folder. What is below it does not count.
func guidsIn(dir string) (map[cyrus.GUID]bool, error) {
	guids := map[cyrus.GUID]bool{}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		guid, err := guidOf(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		guids[guid] = true
	}
	return guids, nil
}

// absent: nothing bears the name.
func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func guidOf(path string) (cyrus.GUID, error) {
	f, err := os.Open(path)
	if err != nil {
		return cyrus.GUID{}, err
	}
	defer f.Close()
	sum := sha1.New()
	if _, err := io.Copy(sum, f); err != nil {
		return cyrus.GUID{}, fmt.Errorf("%s: %w", path, err)
	}
	return cyrus.GUID(sum.Sum(nil)), nil
}

// Dir is a folder of files, as the mounted tree: ROOT/INBOX/Contracts/17.eml, with their internal dates.
type Dir struct{ Root string }

type dirPlace string

// Place of a folder.
func (d Dir) Place(_ context.Context, f *Folder) (Place, error) {
	return dirPlace(filepath.Join(append([]string{d.Root}, f.Path...)...)), nil
}

func (p dirPlace) Name() string { return string(p) }

func (p dirPlace) Absent() bool { return absent(string(p)) }

func (p dirPlace) Has(context.Context) (Held, error) {
	guids, err := guidsIn(string(p))
	return heldIn(guids), err
}

func (p dirPlace) Put(m *Message) error {
	if err := os.MkdirAll(string(p), 0o700); err != nil {
		return err
	}
	return writeMessage(filepath.Join(string(p), fmt.Sprintf("%d.eml", m.Record.UID)), m, 0o600)
}

func (p dirPlace) Commit(context.Context) (map[uint32]uint32, error) {
	return nil, os.MkdirAll(string(p), 0o700)
}

func (p dirPlace) Close() error { return nil }
