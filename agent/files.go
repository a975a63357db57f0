package agent

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"fmt"
	"io"
	"strings"

	"backupfs/internal/wire"
	"backupfs/source"
)

const (
	metaPrefix = "cyrus." // of files that the protocol names without it
	metadata   = "mailbox_annotations"
)

// stats tells of files; folder stands before each name unless it is empty.
func (s *session) stats(folder string, stats []source.Stat) {
	if folder != "" {
		folder += " "
	}
	for _, st := range stats {
		h := wire.Head{Name: strings.TrimPrefix(st.Name, metaPrefix), Size: st.Size, Mtime: st.Mtime, Inode: st.Inode}
		s.print("STAT %s%s\n", folder, h)
	}
}

// file sends one of files that were copied, or says that it is not among them.
func (s *session) file(as, name string, files []source.File) error {
	for _, f := range files {
		switch {
		case f.Name != name:
		case f.Err != nil:
			s.cannotOpen(as, f.Err)
			return nil
		default:
			return s.send(headOf(as, f), bytes.NewReader(f.Data), false)
		}
	}
	if as == metadata {
		s.print("NO empty %s\n", metadata)
	} else {
		s.noFile(as)
	}
	return nil
}

func (s *session) noFile(name string) { s.print("NO no such file %s\n", wire.Encode(name)) }

func (s *session) cannotOpen(name string, err error) {
	s.report(err)
	s.print("NO failed to open file %s\n", wire.Encode(name))
}

func headOf(as string, f source.File) wire.Head {
	return wire.Head{Name: as, Size: int64(len(f.Data)), Mtime: f.Mtime, Inode: f.Inode}
}

// send sends a file: as many bytes as it says first, and what they hash to. An error is one within the bytes, and nothing can follow.
// If what cannot be read is padded, it is sent as zeros, and NO stands in the place of the digest.
//
// cyrus: imap/backupcyrusd.c send_file
func (s *session) send(h wire.Head, body io.ReaderAt, padded bool) error {
	digest := sha1.New()
	var unread error
	for at := int64(0); at == 0 || at < h.Size; {
		b := s.buf[:min(h.Size-at, int64(len(s.buf)))]
		if n, err := body.ReadAt(b, at); n < len(b) {
			err = fmt.Errorf("%s: read at %d of %d: %w", h.Name, at+int64(n), h.Size, err)
			switch {
			case padded:
				clear(b[n:])
				unread = cmp.Or(unread, err)
			case at == 0:
				s.cannotOpen(h.Name, err)
				return nil
			default:
				return err
			}
		}
		if at == 0 {
			s.print("DATA %s\n", h)
		}
		digest.Write(b)
		if _, err := s.out.Write(b); err != nil {
			return err
		}
		if at += int64(len(b)); h.Size == 0 {
			break
		}
	}
	if unread != nil {
		s.cannotOpen(h.Name, unread)
		return nil
	}
	s.print("%s", wire.Done(h.Name, digest.Sum(nil)))
	return nil
}
