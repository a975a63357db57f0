package restore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"backupfs/cyrus"
)

// Maildir is a Maildir++: the INBOX is ROOT itself, INBOX/Work/2026 is ROOT/.Work.2026. Keywords have no place in it.
type Maildir struct{ Root string }

// Place of a folder. What is not below INBOX (.deleted) begins with its own top.
func (d Maildir) Place(_ context.Context, f *Folder) (Place, error) {
	levels := f.Path
	if levels[0] == "INBOX" {
		levels = levels[1:]
	}
	dir := d.Root
	if len(levels) > 0 {
		dir = filepath.Join(d.Root, "."+strings.Join(levels, "."))
	}
	return maildirPlace(dir), nil
}

type maildirPlace string

func (p maildirPlace) Name() string { return string(p) }

func (p maildirPlace) Absent() bool { return absent(filepath.Join(string(p), "cur")) }

func (p maildirPlace) Has(context.Context) (Held, error) {
	have := map[cyrus.GUID]bool{}
	for _, sub := range []string{"cur", "new"} {
		guids, err := guidsIn(filepath.Join(string(p), sub))
		if err != nil {
			return nil, err
		}
		maps.Copy(have, guids)
	}
	return heldIn(have), nil
}

// maildirFlags in the order in which they stand in a name.
var maildirFlags = []struct{ letter, flag string }{
	{"D", `\Draft`}, {"F", `\Flagged`}, {"R", `\Answered`}, {"S", `\Seen`}, {"T", `\Deleted`},
}

// make makes the three folders that are one.
func (p maildirPlace) make() error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(string(p), sub), 0o700); err != nil {
			return err
		}
	}
	return nil
}

func (p maildirPlace) Put(m *Message) error {
	if err := p.make(); err != nil {
		return err
	}
	name := fmt.Sprintf("%d.%s_%d.backupfs", m.Record.InternalDate, m.Record.GUID, m.Record.UID)
	info := ":2,"
	for _, f := range maildirFlags {
		if slices.Contains(m.Flags, f.flag) {
			info += f.letter
		}
	}
	tmp := filepath.Join(string(p), "tmp", name)
	if err := os.RemoveAll(tmp); err != nil { // of a run that was killed: no reader looks there
		return err
	}
	if err := writeMessage(tmp, m, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(string(p), "cur", name+info)) // the name is the message's alone
}

func (p maildirPlace) Commit(context.Context) (map[uint32]uint32, error) { return nil, p.make() }
func (p maildirPlace) Close() error                                      { return nil }
