package restore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"backupfs/cyrus"
	"backupfs/lock"
)

// Subscribe adds to the user's database "sub".
func (s *Spool) Subscribe(ctx context.Context, list []Subscription, dryRun bool) (int, error) {
	path, live, err := s.userRecords(ctx, "sub")
	if err != nil {
		return 0, err
	}
	version2 := len(list) > 0 && list[0].Version2
	if len(live) > 0 {
		version2 = live[cyrus.SubVersionKey] == "2"
	}
	add := map[string]string{}
	for _, e := range list {
		key := e.Key
		if e.Own != "" {
			key = cyrus.SubscriptionKey(s.name(e.Own), liveLevels(e.Own, s.below), version2)
		} else if e.Version2 != version2 {
			continue // another's folder is called otherwise there
		}
		if _, there := live[key]; !there {
			add[key] = ""
		}
	}
	n := len(add)
	if n > 0 && version2 && len(live) == 0 {
		add[cyrus.SubVersionKey] = "2"
	}
	return n, s.addRecords(ctx, path, "subscription_db", "flat", add, dryRun)
}

// See adds to the user's database "seen". What the server has there by now stays.
func (s *Spool) See(ctx context.Context, seen map[string]string, dryRun bool) (int, error) {
	path, live, err := s.userRecords(ctx, "seen")
	if err != nil {
		return 0, err
	}
	maps.DeleteFunc(seen, func(key, _ string) bool { _, there := live[key]; return there })
	return len(seen), s.addRecords(ctx, path, "seenstate_db", "twoskip", seen, dryRun)
}

func (s *Spool) userRecords(ctx context.Context, name string) (path string, records map[string]string, err error) {
	path = s.src.Config().UserFiles(s.user, &s.inbox.Mailbox)[name]
	f, err := lock.OpenRead(ctx, path, lockTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return path, map[string]string{}, nil
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err == nil {
		records, err = cyrus.UserRecords(b)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return path, records, err
}

// addRecords has Cyrus's own tool add to a database, under its lock. Its type is what that option of imapd.conf says, or else the default.
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
	for _, key := range slices.Sorted(maps.Keys(records)) {
		value := records[key]
		fmt.Fprintf(&batch, "SET {%d+}\r\n%s {%d+}\r\n%s\n", len(key), key, len(value), value)
	}
	_, err := s.src.ToolWith(ctx, &batch, "cyr_dbtool", path, cmp.Or(s.src.Config().Get(option), byDefault), "batch")
	return err
}
