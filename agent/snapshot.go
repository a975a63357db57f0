package agent

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// wanted is a request for a snapshot.
type wanted struct {
	name     cyrus.Name
	id       string
	validity uint32
	uids     cyrus.UIDSet
	has      map[string]string // meta files of the client: their SHA-1s
}

// parseWanted reads the words behind the user's name, but for the time that was waited.
func parseWanted(words []string) (w wanted, waited string, ok bool) {
	if len(words) < 5 {
		return w, "", false
	}
	validity, err := strconv.ParseUint(words[3], 10, 32)
	var uids cyrus.UIDSet
	if words[4] != wire.None && err == nil {
		uids, err = cyrus.ParseUIDSet(words[4])
	}
	if err != nil {
		return w, "", false
	}
	w = wanted{name: cyrus.Name(words[0]), id: words[1], validity: uint32(validity), uids: uids, has: map[string]string{}}
	for _, word := range words[5:] {
		name, digest, _ := strings.Cut(word, "=")
		w.has[name] = digest
	}
	return w, words[2], true
}

// snapshotOf sends what is wanted of a mailbox, and its meta files as they were when all of it was pinned.
func (s *session) snapshotOf(ctx context.Context, user string, words []string) error {
	w, waitedWord, ok := parseWanted(words)
	if !ok {
		return s.badCommand()
	}
	ctx = waiting(ctx, waitedWord)
	s.print("OK\n")
	var snap *source.Snapshot
	sending := sending{s: s, wanted: w}
	for _, fresh := range []bool{false, true} {
		m, err := s.listed(ctx, user, w.name, w.id, fresh)
		if err == nil {
			snap, err = s.src.Fetch(ctx, m, sending.want, sending.deliver)
		}
		switch {
		case sending.err != nil:
			return sending.err
		case errors.Is(err, source.ErrGone) && !fresh && sending.n == 0:
			continue // looked for in a new list
		case err != nil:
			s.refuse(ctx, string(w.name), err)
			return nil
		}
		break
	}
	if err := sending.metas(snap); err != nil {
		return err
	}
	s.print("DONE SNAPSHOT %s %s\n", wire.Encode(snap.Fingerprint), waited(ctx))
	return nil
}

// sending is what a Fetch calls.
type sending struct {
	s *session
	wanted
	index *cyrus.Index // of the last look
	n     int          // messages that were sent
	err   error        // why nothing more can be
}

func (s *sending) want(ix *cyrus.Index, r *cyrus.Record) bool {
	s.index = ix
	return ix.UIDValidity == s.validity && s.uids.Has(r.UID)
}

func (s *sending) deliver(m source.Message) error {
	s.n++
	if s.uids.Open(m.Record.UID) {
		s.err = s.record(m.Record)
	}
	if s.err == nil {
		s.err = s.s.send(headOfMessage(strconv.FormatUint(uint64(m.Record.UID), 10), m), m.Body, true)
	}
	return s.err
}

// record sends a record that the client cannot know.
func (s *sending) record(r cyrus.Record) error {
	one := *s.index
	one.Records = []cyrus.Record{r}
	b, err := one.Marshal()
	if err != nil {
		return err
	}
	return s.s.send(wire.Head{Name: wire.Record, Size: int64(len(b))}, bytes.NewReader(b), true)
}

// metas sends what stands behind the messages.
func (s *sending) metas(snap *source.Snapshot) error {
	for _, uid := range slices.Sorted(maps.Keys(snap.Missing)) {
		how := wire.BadFile
		if errors.Is(snap.Missing[uid], fs.ErrNotExist) {
			how = wire.NoFile
		}
		s.s.print("MISSING %d %s %s\n", uid, how, wire.Encode(snap.Missing[uid].Error()))
	}
	for _, err := range snap.Problems {
		s.s.print("PROBLEM %s\n", wire.Encode(err.Error()))
	}
	for _, f := range snap.Files {
		if f.Err != nil {
			how := wire.BadFile
			if errors.Is(f.Err, cyrus.ErrDatabase) {
				how = wire.NoType
			} else {
				s.s.report(f.Err)
			}
			s.s.print("UNKNOWN %s %s %s\n", strings.TrimPrefix(f.Name, metaPrefix), how, wire.Encode(f.Err.Error()))
			continue
		}
		head := headOf(strings.TrimPrefix(f.Name, metaPrefix), f)
		has, ok := s.has[head.Name]
		if ok && has == fmt.Sprintf("%x", sha1.Sum(f.Data)) {
			s.s.print("SAME %s\n", head)
		} else if err := s.s.send(head, bytes.NewReader(f.Data), true); err != nil {
			return err
		}
	}
	return nil
}
