package main

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"backupfs/cyrus"
	"backupfs/internal/compose"
)

const (
	users   = 10
	folders = 5 // of each user, INBOX among them
	// indexVersion is that of Cyrus 3.6.
	indexVersion = 17
	indexName    = "cyrus.index"
)

// spool is a server's disk, laid out by name as all servers before 3.6 did, written without a server.
type spool struct {
	conf, root string // imapd.conf, default partition
	users      []string
	folders    int // of each user, INBOX among them
	boxes      []*mailbox
	messages   int
	bytes      int64 // of the messages
	mail       *compose.Composer
	clock      time.Time // of the newest message
}

// mailbox is a folder of a spool.
type mailbox struct {
	dir string
	ix  *cyrus.Index
}

// userDir is a user's INBOX, and has his folders in it.
func (s *spool) userDir(user string) string { return filepath.Join(s.root, user[:1], "user", user) }

// haveSpool returns the spool that an earlier run left in dir, or composes one there. The stamp in it is written last:
// a folder with it holds a whole spool.
func haveSpool(dir string, users, messages int) (*spool, error) {
	s, err := newSpool(dir, users)
	if err != nil {
		return nil, err
	}
	whole := filepath.Join(dir, "spool.json")
	_, err = os.Stat(whole)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.compose(messages); err != nil {
			return nil, err
		}
		return s, os.WriteFile(whole, nil, 0o600)
	}
	if err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	if s.messages != messages {
		return nil, fmt.Errorf("%s has a spool of %d messages, not %d", dir, s.messages, messages)
	}
	return s, nil
}

// newSpool is one without messages, and writes the server's configuration.
func newSpool(dir string, users int) (*spool, error) {
	s := &spool{conf: filepath.Join(dir, "imapd.conf"), root: filepath.Join(dir, "spool"), folders: folders, mail: compose.New(1),
		clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for u := range users {
		s.users = append(s.users, fmt.Sprintf("%c-user", 'a'+u%26))
		if n := u / 26; n > 0 {
			s.users[u] += fmt.Sprint(n)
		}
	}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return nil, err
	}
	// The METADATA of folders: a server without it and without a mailboxes.db would be one that never ran.
	if err := os.WriteFile(filepath.Join(conf, "annotations.db"), nil, 0o600); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("configdirectory: %s\ndefaultpartition: default\npartition-default: %s\nhashimapspool: yes\nservername: bench\n",
		conf, s.root)
	return s, os.WriteFile(s.conf, []byte(text), 0o644)
}

// eachBox calls f for the mailboxes that a spool has, with their names in the server.
func (s *spool) eachBox(f func(dir, name string) error) error {
	for _, user := range s.users {
		if err := f(s.userDir(user), "user."+user); err != nil {
			return err
		}
		for i := 1; i < s.folders; i++ {
			sub := fmt.Sprintf("Folder%d", i)
			if err := f(filepath.Join(s.userDir(user), sub), "user."+user+"."+sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads what the spool's disk holds.
func (s *spool) load() error {
	return s.eachBox(func(dir, _ string) error {
		b, err := os.ReadFile(filepath.Join(dir, indexName))
		if err != nil {
			return err
		}
		ix, err := cyrus.ParseIndex(b)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		s.boxes = append(s.boxes, &mailbox{dir, ix})
		s.messages += len(ix.Records)
		s.bytes += int64(ix.QuotaUsed)
		return nil
	})
}

// compose writes the mailboxes, with as many messages each.
func (s *spool) compose(messages int) error {
	all := len(s.users) * s.folders
	return s.eachBox(func(dir, name string) error {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		header := fmt.Appendf(nil, "\xa1\x02\x8b\x0dCyrus mailbox header\n\"a line\"\n\"and another\"\n\t%s\n\nanyone\tlrs\t\n", uniqueID(name))
		if err := os.WriteFile(filepath.Join(dir, "cyrus.header"), header, 0o600); err != nil {
			return err
		}
		box := &mailbox{dir, &cyrus.Index{Version: indexVersion, UIDValidity: 1, HeaderFileCRC: crc32.ChecksumIEEE(header)}}
		n := len(s.boxes)
		s.boxes = append(s.boxes, box)
		for range messages*(n+1)/all - messages*n/all {
			if err := s.deliver(box); err != nil {
				return err
			}
		}
		return box.write()
	})
}

// uniqueID is that of a mailbox.
func uniqueID(name string) string {
	sum := sha1.Sum([]byte(name))
	return hex.EncodeToString(sum[:12])
}

// deliver puts a message into a mailbox, a minute after the one before.
func (s *spool) deliver(box *mailbox) error {
	s.clock = s.clock.Add(time.Minute)
	m := s.mail.Message(s.mail.Size(), s.clock)
	box.ix.LastUID++
	box.ix.HighestModseq++
	path := filepath.Join(box.dir, fmt.Sprintf("%d.", box.ix.LastUID))
	if err := os.WriteFile(path, m, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(path, s.clock, s.clock); err != nil {
		return err
	}
	box.ix.Records = append(box.ix.Records, cyrus.Record{UID: box.ix.LastUID, InternalDate: s.clock.Unix(), Size: uint64(len(m)),
		SystemFlags: cyrus.FlagSeen, GUID: sha1.Sum(m), Modseq: box.ix.HighestModseq})
	box.ix.QuotaUsed += uint64(len(m))
	s.messages++
	s.bytes += int64(len(m))
	return nil
}

// write puts a mailbox's index on disk, in a new file: the old one may have a link in another spool.
func (box *mailbox) write() error {
	box.ix.Exists = uint32(len(box.ix.Records))
	b, err := box.ix.Marshal()
	if err != nil {
		return err
	}
	path := filepath.Join(box.dir, indexName)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
