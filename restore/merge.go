package restore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"time"

	"backupfs/cyrus"
)

// needsRepack has whoever closes the mailbox next write its cache and index anew, as after an expunge, and read each message that the cache lacks. So it
// is filled even where nobody comes to Finish.
//
// cyrus: imap/mailbox.c _delayed_cleanup, mailbox_index_repack
const needsRepack = 1 << 30

// merge adds what was put to the mailbox, in milliseconds. What an error leaves undone, Close takes back; one with UIDs is about annotations.
func (p *livePlace) merge(ctx context.Context) (uids map[uint32]uint32, err error) {
	locked, err := p.spool.lock(ctx, p.paths)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name(), err)
	}
	defer locked.release()
	ix, err := parseIndex(locked.index)
	if err != nil {
		return nil, err
	}
	if ix.Version < 12 {
		return nil, fmt.Errorf("%s: cyrus.index of version %d is too old to be added to (reconstruct -V max %s)", p.Name(), ix.Version, p.Name())
	}
	rawHeader, err := os.ReadFile(p.paths.Header)
	if err != nil {
		return nil, err
	}
	h, err := cyrus.ParseHeader(rawHeader)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.paths.Header, err)
	}
	old := len(ix.Records)
	uids, err = p.number(ix, h)
	if err != nil {
		return nil, err
	}
	header, err := h.Marshal()
	if err != nil {
		return nil, err
	}
	if string(header) != string(rawHeader) {
		ix.HeaderFileCRC = crc32.ChecksumIEEE(header)
	}
	b, err := ix.Marshal()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(p.put))
	for i, m := range p.put {
		names[i] = spoolName(uids[m.record.UID])
		if err := p.files.free(names[i]); err != nil {
			return nil, err
		}
	}
	annotationErr := p.annotate(ctx, locked.index, ix, uids)
	for i := range p.put {
		m := &p.put[i]
		if err := p.files.rename(m.name, names[i]); err != nil {
			return nil, err
		}
		m.name = names[i]
	}
	if ix.HeaderFileCRC != crc32.ChecksumIEEE(rawHeader) {
		// cyrus: imap/mailbox.c mailbox_commit_header
		if err := p.replaceHeader(header); err != nil {
			return nil, err
		}
	}
	// Records first: until the header counts them they are not there.
	start := int(ix.StartOffset) + old*int(ix.RecordSize)
	if _, err := locked.index.WriteAt(b[start:], int64(start)); err != nil {
		return nil, err
	}
	p.put = nil // the files stay from here on
	if _, err := locked.index.WriteAt(b[:ix.StartOffset], 0); err != nil {
		return nil, fmt.Errorf("%s may be damaged now (reconstruct %s): %w", p.paths.Index, p.Name(), err)
	}
	return uids, annotationErr
}

// annotate gives the messages their annotations before they can be seen. The UIDs are used up before that: what a crash leaves of the annotations is of
// no message, ever, and reconstruct takes it away.
func (p *livePlace) annotate(ctx context.Context, index *os.File, ix *cyrus.Index, uids map[uint32]uint32) error {
	records, err := p.spool.messageAnnotations(p.folder, p.box.Mailbox, uids, ix.HighestModseq)
	if err != nil || len(records) == 0 {
		return err
	}
	before, err := parseIndex(index)
	if err != nil {
		return err
	}
	before.LastUID = ix.LastUID
	b, err := before.Marshal()
	if err != nil {
		return err
	}
	if _, err := index.WriteAt(b[:before.StartOffset], 0); err != nil {
		return fmt.Errorf("%s may be damaged now (reconstruct %s): %w", p.paths.Index, p.Name(), err)
	}
	// Everybody waits for us meanwhile.
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	return p.spool.annotate(ctx, p.paths, records)
}

// number gives what was put the next UIDs, and adds records and keywords.
func (p *livePlace) number(ix *cyrus.Index, h *cyrus.Header) (map[uint32]uint32, error) {
	uids := map[uint32]uint32{}
	now := time.Now().Unix()
	ix.HighestModseq++
	for _, m := range p.put {
		r := m.record
		ix.LastUID++
		uids[r.UID] = ix.LastUID
		r.UID, r.Modseq, r.CreatedModseq = ix.LastUID, ix.HighestModseq, ix.HighestModseq
		r.LastUpdated = cyrus.Time{Sec: now}
		r.UserFlags = [4]uint32{}
		for _, flag := range m.flags {
			n, err := keyword(h, flag)
			if err != nil {
				return nil, err
			}
			r.UserFlags[n/32] |= 1 << (n % 32)
		}
		ix.Records = append(ix.Records, r)
	}
	ix.LastAppend = cyrus.Time{Sec: now}
	ix.Options |= needsRepack
	count(ix)
	return uids, nil
}

// keyword is the number of a keyword in a header, which gets it if it has it not.
func keyword(h *cyrus.Header, name string) (int, error) {
	if n := slices.Index(h.Flags, name); n >= 0 {
		return n, nil
	}
	if n := slices.Index(h.Flags, ""); n >= 0 {
		h.Flags[n] = name
		return n, nil
	}
	if len(h.Flags) == 128 {
		return 0, fmt.Errorf("it has 128 keywords, and no room for %s", name)
	}
	h.Flags = append(h.Flags, name)
	return len(h.Flags) - 1, nil
}

func (p *livePlace) replaceHeader(header []byte) error {
	temp := p.paths.Header + ".NEW"
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) { // nobody else can be writing it
		return err
	}
	if err := p.spool.giveBytes(temp, header); err != nil {
		return err
	}
	return os.Rename(temp, p.paths.Header)
}
