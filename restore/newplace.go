package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"backupfs/cyrus"
	"backupfs/lock"
	"backupfs/source"
)

// newPlace is a mailbox that the server does not have. Its folder is made beside those that it has, where nobody looks; then Cyrus's
// reconstruct -P is told of it, takes name, UniqueID and rights from its cyrus.header, and it is there, whole.
//
// cyrus: imap/mailbox.c mailbox_reconstruct_create
type newPlace struct {
	spool   *Spool
	folder  *Folder
	box     cyrus.Mailbox
	paths   cyrus.Paths
	files   *messageFiles // nil until there is one
	records []cyrus.Record
}

// newPlace chooses where the mailbox will lie: as the INBOX does. In its old place it keeps its UniqueID, by which others' seen state
// finds it, unless a live mailbox has that.
func (s *Spool) newPlace(name cyrus.Name, f *Folder) (Place, error) {
	p := &newPlace{spool: s, folder: f, box: s.inbox.Mailbox}
	p.box.Name, p.box.UniqueID = name, f.UniqueID
	taken := s.below != "" || f.UniqueID == ""
	for _, m := range s.boxes {
		taken = taken || m.UniqueID == f.UniqueID
	}
	if taken {
		p.box.UniqueID = strings.ToLower(rand.Text()[:24])
	}
	var err error
	if p.paths, err = s.src.Config().Paths(p.box); err != nil {
		return nil, err
	}
	for _, path := range []string{p.paths.Header, p.paths.Index} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, fmt.Errorf("%s: %w, of a mailbox that the server does not list (reconstruct -P %s)", path, fs.ErrExist, filepath.Dir(path)))
		}
	}
	return p, nil
}

func (p *newPlace) Name() string { return p.spool.src.Config().Admin(p.box.Name) }

func (p *newPlace) Absent() bool { return true }

func (p *newPlace) Has(context.Context) (Held, error) { return heldIn(nil), nil }

// Put writes the message's file. One that an interrupted call left is taken.
func (p *newPlace) Put(m *Message) (err error) {
	if p.files == nil {
		if p.files, err = p.spool.messageFiles(p.paths.Data); err != nil {
			return err
		}
	}
	if err = p.files.put(spoolName(m.Record.UID), m); err == nil {
		p.records = append(p.records, bare(&m.Record))
	}
	return err
}

// spoolName is what the server calls a message file.
func spoolName(uid uint32) string { return strconv.FormatUint(uint64(uid), 10) + "." }

// bare leaves of a record what the message is, and takes away where the old server kept things of it.
func bare(r *cyrus.Record) cyrus.Record {
	b := *r
	b.SystemFlags &= cyrus.FlagAnswered | cyrus.FlagFlagged | cyrus.FlagDeleted | cyrus.FlagDraft | cyrus.FlagSeen
	b.CacheOffset, b.CacheVersion, b.CacheCRC, b.ContentOffset, b.CID, b.BaseCID = 0, 0, 0, 0, 0, 0
	return b
}

func (p *newPlace) Commit(ctx context.Context) (map[uint32]uint32, error) {
	if p.files != nil {
		if err := p.files.wait(); err != nil {
			return nil, err
		}
	}
	live, err := p.spool.inboxHeader()
	if err != nil {
		return nil, err
	}
	h := *p.folder.Header
	h.Old, h.MboxType, h.Name, h.UniqueID, h.JMAPID, h.QuotaRoot = live.Old, live.MboxType, string(p.box.Name), p.box.UniqueID, "", live.QuotaRoot
	h.ACL = slices.Clone(h.ACL)
	for i := range h.ACL {
		if h.ACL[i].User == p.spool.was {
			h.ACL[i].User = p.spool.user
		}
	}
	header, err := h.Marshal()
	if err != nil {
		return nil, err
	}
	if err := lock.MakeFolder(p.paths.Data, p.spool.owner); err != nil {
		return nil, err
	}
	ix, err := p.index(ctx, header)
	if err != nil {
		return nil, err
	}
	uids := map[uint32]uint32{}
	for _, r := range p.records {
		uids[r.UID] = r.UID
	}
	annotations, annotationErr := p.spool.messageAnnotations(p.folder, p.box, uids, p.folder.Index.HighestModseq)
	if annotationErr == nil {
		annotationErr = p.spool.annotate(ctx, p.paths, annotations)
	}
	for _, f := range []struct {
		path string
		data []byte
	}{{p.paths.Index, ix}, {p.paths.Header, header}} {
		if err := lock.MakeFolder(filepath.Dir(f.path), p.spool.owner); err != nil {
			return nil, err
		}
		if err := p.spool.giveBytes(f.path, f.data); err != nil {
			return nil, err
		}
	}
	if err := p.announce(ctx); err != nil {
		return nil, err
	}
	p.spool.touch(p.box)
	return uids, annotationErr
}

// Annotate sets METADATA.
func (p *newPlace) Annotate(ctx context.Context, list []cyrus.Annotation, dryRun bool) (int, error) {
	return p.spool.setMetadata(ctx, p.box, p.paths, list, dryRun)
}

// index is that of the date with the records that were put, in the version of the server's own.
func (p *newPlace) index(ctx context.Context, header []byte) ([]byte, error) {
	inbox, err := p.spool.src.Config().Paths(p.spool.inbox.Mailbox)
	if err != nil {
		return nil, err
	}
	live, err := readIndex(ctx, inbox.Index)
	if err != nil {
		return nil, err
	}
	ix := *p.folder.Index
	ix.Version, ix.RecordSize, ix.Records = live.Version, 0, p.records
	ix.HeaderFileCRC = crc32.ChecksumIEEE(header)
	ix.QuotaUsed, ix.QuotaAnnotUsed, ix.QuotaDeletedUsed, ix.QuotaExpungedUsed = 0, 0, 0, 0 // reconstruct adds it, and tells the quota root
	ix.LeakedCache = 0
	ix.Options &^= 1<<29 | 1<<31 // needs unlink, is deleted
	ix.Options |= needsRepack
	count(&ix)
	return ix.Marshal()
}

// count sets what an index says of its records.
func count(ix *cyrus.Index) {
	ix.Exists, ix.Answered, ix.Flagged, ix.Deleted, ix.Unseen = 0, 0, 0, 0, 0
	for i := range ix.Records {
		r := &ix.Records[i]
		if r.Expunged() {
			continue
		}
		ix.Exists++
		for _, is := range []struct {
			so bool
			n  *uint32
		}{
			{r.SystemFlags&cyrus.FlagAnswered != 0, &ix.Answered}, {r.SystemFlags&cyrus.FlagFlagged != 0, &ix.Flagged},
			{r.SystemFlags&cyrus.FlagDeleted != 0, &ix.Deleted}, {r.SystemFlags&cyrus.FlagSeen == 0, &ix.Unseen},
		} {
			if is.so {
				*is.n++
			}
		}
	}
}

// announce makes the mailbox known to the server.
func (p *newPlace) announce(ctx context.Context) error {
	dir := filepath.Dir(p.paths.Header)
	out, err := p.spool.src.Tool(ctx, "reconstruct", "-P", dir)
	if err == nil {
		_, err = p.spool.src.Find(ctx, p.box.Name, true)
	}
	if errors.Is(err, source.ErrGone) {
		err = fmt.Errorf("the server does not list it: %s", strings.TrimSpace(string(out)))
	}
	if err != nil {
		return fmt.Errorf("%s is made, and not known to the server yet (reconstruct -P %s): %w", dir, dir, err)
	}
	return nil
}

// Close leaves files of messages, which the next call takes, and which nobody sees.
func (p *newPlace) Close() error {
	if p.files == nil {
		return nil
	}
	_ = p.files.wait() // Commit said what it says
	return p.files.close()
}

// inboxHeader is the cyrus.header of the live INBOX.
func (s *Spool) inboxHeader() (*cyrus.Header, error) {
	paths, err := s.src.Config().Paths(s.inbox.Mailbox)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(paths.Header)
	if err != nil {
		return nil, err
	}
	h, err := cyrus.ParseHeader(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", paths.Header, err)
	}
	return h, nil
}
