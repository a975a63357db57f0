package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"backupfs/internal/compose"
)

// change is what a day brings to a spool: one message of a hundred goes, and as many come.
const change = 100

// day lets a day pass: all mailboxes change, the spool keeps its number of messages. It returns how many came and went.
func (s *spool) day() (int, error) {
	n := s.messages / change
	for i, box := range s.boxes {
		rnd := rand.New(rand.NewPCG(uint64(box.ix.LastUID), uint64(i)))
		for range n*(i+1)/len(s.boxes) - n*i/len(s.boxes) {
			gone := rnd.IntN(len(box.ix.Records))
			r := box.ix.Records[gone]
			if err := os.Remove(filepath.Join(box.dir, fmt.Sprintf("%d.", r.UID))); err != nil {
				return 0, err
			}
			box.ix.Records = slices.Delete(box.ix.Records, gone, gone+1)
			box.ix.QuotaUsed -= r.Size
			box.ix.HighestModseq++
			s.messages--
			s.bytes -= int64(r.Size)
			if err := s.deliver(box); err != nil {
				return 0, err
			}
		}
		if err := box.write(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// link makes a second spool in dir with the same messages, which may then change: the files are linked.
func (s *spool) link(dir string) (*spool, error) {
	other, err := newSpool(dir, len(s.users))
	if err != nil {
		return nil, err
	}
	if out, err := exec.Command("cp", "-al", s.root, other.root).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	other.mail, other.clock = compose.New(2), s.clock.AddDate(0, 1, 0).Truncate(24*time.Hour)
	return other, other.load()
}
