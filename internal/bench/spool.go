package main

import (
	"crypto/sha1"
	"fmt"
	"hash/crc32"
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
)

// spool is a server's disk, laid out by name as all servers before 3.6 did, written without a server.
type spool struct {
	conf, root string // imapd.conf, default partition
	users      []string
	folders    int
	messages   int
	bytes      int64 // of the messages
}

// userDir is a user's INBOX, and has his folders in it.
func (s *spool) userDir(user string) string { return filepath.Join(s.root, user[:1], "user", user) }

func composeSpool(dir string, messages int) (*spool, error) {
	s := &spool{conf: filepath.Join(dir, "imapd.conf"), root: filepath.Join(dir, "spool")}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("configdirectory: %s\ndefaultpartition: default\npartition-default: %s\nhashimapspool: yes\nservername: bench\n",
		conf, s.root)
	if err := os.WriteFile(s.conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	mail := compose.New(1)
	date := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for u := range users {
		user := fmt.Sprintf("%c-user", 'a'+u)
		s.users = append(s.users, user)
		for f := range folders {
			dir, name := s.userDir(user), "user."+user
			if f > 0 {
				sub := fmt.Sprintf("Folder%d", f)
				dir, name = filepath.Join(dir, sub), name+"."+sub
			}
			n := (messages*(s.folders+1))/(users*folders) - (messages*s.folders)/(users*folders)
			if err := s.folder(dir, name, n, mail, date); err != nil {
				return nil, err
			}
			s.folders++
		}
	}
	return s, nil
}

// folder writes a mailbox of n messages, a minute apart: the messages, cyrus.header, cyrus.index.
func (s *spool) folder(dir, name string, n int, mail *compose.Composer, date time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	id := sha1.Sum([]byte(name))
	header := fmt.Appendf(nil, "\xa1\x02\x8b\x0dCyrus mailbox header\n\"a line\"\n\"and another\"\n\t%x\n\nanyone\tlrs\t\n", id[:12])
	if err := os.WriteFile(filepath.Join(dir, "cyrus.header"), header, 0o600); err != nil {
		return err
	}
	ix := cyrus.Index{Version: indexVersion, UIDValidity: 1, Exists: uint32(n), LastUID: uint32(n), HighestModseq: uint64(n),
		HeaderFileCRC: crc32.ChecksumIEEE(header)}
	for uid := uint32(1); uid <= uint32(n); uid++ {
		date = date.Add(time.Minute)
		m := mail.Message(mail.Size(), date)
		path := filepath.Join(dir, fmt.Sprintf("%d.", uid))
		if err := os.WriteFile(path, m, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(path, date, date); err != nil {
			return err
		}
		ix.Records = append(ix.Records, cyrus.Record{UID: uid, InternalDate: date.Unix(), Size: uint64(len(m)),
			SystemFlags: cyrus.FlagSeen, GUID: sha1.Sum(m), Modseq: uint64(uid)})
		ix.QuotaUsed += uint64(len(m))
		s.messages++
		s.bytes += int64(len(m))
	}
	b, err := ix.Marshal()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "cyrus.index"), b, 0o600)
}
