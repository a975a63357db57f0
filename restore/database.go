package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"backupfs/lock"
)

// addRecords has Cyrus's own tool add to one of the server's databases, under its lock, all or nothing. Its type is what that option of imapd.conf says,
// or else the default.
func (s *Spool) addRecords(ctx context.Context, path, option, byDefault string, records map[string]string, dryRun bool) error {
	if len(records) == 0 || dryRun {
		return nil
	}
	if err := lock.MakeFolder(filepath.Dir(path), s.owner); err != nil {
		return err
	}
	// The tool makes no database, but an empty file is one.
	if err := s.giveBytes(path, nil); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var batch bytes.Buffer
	batch.WriteString("BEGIN\n")
	keys := slices.Sorted(maps.Keys(records))
	for _, key := range keys {
		value := records[key]
		fmt.Fprintf(&batch, "SET {%d+}\r\n%s {%d+}\r\n%s\n", len(key), key, len(value), value)
	}
	// It ends with 0 whatever became of it, and at the first command that fails: an answer says that none did.
	fmt.Fprintf(&batch, "COMMIT\nGET {%d+}\r\n%s\n", len(keys[0]), keys[0])
	out, err := s.src.ToolWith(ctx, &batch, "cyr_dbtool", path, cmp.Or(s.src.Config().Get(option), byDefault), "batch")
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("%s: cyr_dbtool added nothing", path)
	}
	return err
}
