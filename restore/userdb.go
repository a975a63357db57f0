package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"

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
		key := cyrus.OtherSubscriptionKey(e.Other, version2)
		if e.Own != "" {
			key = cyrus.SubscriptionKey(s.name(e.Own), liveLevels(e.Own, s.below), version2)
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
