package agent

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	"backupfs/cyrus"
	"backupfs/internal/wire"
	"backupfs/source"
)

// messages sends message files. They are pinned as many at a time as may be open, and looked for anew for the next.
//
// cyrus: imap/backupcyrusd.c do_fdata
func (s *session) messages(ctx context.Context) (last int, err error) {
	user, c := s.in.name()
	if c != ' ' {
		s.print("NO missing user\n")
		return c, nil
	}
	external, c := s.in.name()
	asked, c := s.in.rest(c)
	if err := s.in.whole(); err != nil {
		return c, err
	}
	name, own := s.internal(external, user)
	p, err := s.pin(ctx, name, own, asked)
	if err != nil {
		s.noFolder(external, err)
		return c, nil
	}
	s.print("OK\n")
	header := p.Header
	for {
		n, err := s.sendPinned(p, asked)
		p.Close()
		if err != nil {
			return c, err
		}
		if asked = asked[n:]; len(asked) == 0 {
			break
		}
		next := asked
		if n == 0 { // others were pinned, and not the one whose turn it is
			next = asked[:1]
		}
		p, err = s.pin(ctx, name, own, next)
		if err == nil && p.Header.UniqueID != header.UniqueID {
			p.Close()
			err = source.ErrGone
		}
		if err != nil {
			s.without(asked, err)
			break
		}
	}
	s.done("FDATA", header)
	return c, nil
}

func (s *session) pin(ctx context.Context, name cyrus.Name, own bool, asked []string) (p *source.Pinned, err error) {
	var uids []uint32
	for _, word := range asked {
		if uid, ok := parseUID(word); ok {
			uids = append(uids, uid)
		}
	}
	err = s.open(ctx, name, own, func(m source.Mailbox) (*cyrus.Header, error) {
		if p != nil { // of a mailbox that has another name by now
			p.Close()
		}
		if p, err = s.src.Pin(ctx, m, uids); err != nil {
			return nil, err
		}
		return p.Header, nil
	})
	if err != nil && p != nil {
		p.Close()
	}
	return p, err
}

// parseUID reads a number as C's atoi does: what stands behind it does not matter. One of more than 32 bits is no UID.
func parseUID(word string) (uid uint32, ok bool) {
	if word != "" && word[0] == '+' {
		word = word[1:]
	}
	digits := 0
	for digits < len(word) && word[digits] >= '0' && word[digits] <= '9' {
		digits++
	}
	n, err := strconv.ParseUint(word[:digits], 10, 32)
	return uint32(n), err == nil
}

// sendPinned sends messages in the order in which they were asked for, up to one that must be pinned first. It says how many are answered.
func (s *session) sendPinned(p *source.Pinned, asked []string) (n int, err error) {
	for n, word := range asked {
		uid, ok := parseUID(word)
		if !ok {
			s.noFile(word)
			continue
		}
		m, err := p.Message(uid)
		switch {
		case errors.Is(err, source.ErrUnpinned):
			return n, nil
		case errors.Is(err, fs.ErrNotExist):
			s.noFile(word)
		case err != nil:
			s.cannotOpen(word, err)
		default:
			if err := s.send(headOfMessage(word, m), m.Body, false); err != nil {
				return n, err
			}
		}
	}
	return len(asked), nil
}

func headOfMessage(as string, m source.Message) wire.Head {
	return wire.Head{Name: as, Size: m.Size, Mtime: m.Mtime, Inode: m.Inode}
}

// without answers for messages of a folder that cannot be had any more.
func (s *session) without(asked []string, err error) {
	for _, word := range asked {
		if errors.Is(err, source.ErrGone) {
			s.noFile(word)
		} else {
			s.cannotOpen(word, err)
		}
	}
}
