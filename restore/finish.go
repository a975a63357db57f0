package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"backupfs/cyrus"
)

// ErrNoMailbox: the user has no live mailbox of that name.
var ErrNoMailbox = errors.New("the user has no such mailbox")

// touch has Finish look at a mailbox.
func (s *Spool) touch(box cyrus.Mailbox) {
	if !slices.ContainsFunc(s.changed, func(m cyrus.Mailbox) bool { return m.Name == box.Name }) {
		s.changed = append(s.changed, box)
	}
}

// Unfinished are the mailboxes that Finish is for, as the server's tools call them.
func (s *Spool) Unfinished() (names []string) {
	for _, m := range s.changed {
		names = append(names, s.src.Config().Admin(m.Name))
	}
	return names
}

// Resume has Finish look at these mailboxes, called as Unfinished calls them.
func (s *Spool) Resume(names ...string) error {
	byName := map[string]cyrus.Mailbox{}
	for _, m := range s.boxes {
		byName[s.src.Config().Admin(m.Mailbox.Name)] = m.Mailbox
	}
	for _, name := range names {
		m, ok := byName[name]
		if !ok {
			return fmt.Errorf("%s: %w", name, ErrNoMailbox)
		}
		s.touch(m)
	}
	return nil
}

// ResumeAll has Finish look at the user's mailboxes in which a restore did not come to it.
func (s *Spool) ResumeAll(ctx context.Context) error {
	for _, m := range s.boxes {
		ix, err := s.index(ctx, m.Mailbox)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		if unfinished(ix) {
			s.touch(m.Mailbox)
		}
	}
	return nil
}

// unfinished says that Finish was not at a mailbox since messages came: its cache lacks some, or the bytes of all are not what the index says, which
// only the server's tools set.
func unfinished(ix *cyrus.Index) bool {
	used := uint64(0)
	for i := range ix.Records {
		if r := &ix.Records[i]; !r.Expunged() {
			used += r.Size
		}
	}
	return ix.Version >= 12 && (uncached(ix) > 0 || used != ix.QuotaUsed)
}

// uncached counts the messages that the server's cache lacks.
func uncached(ix *cyrus.Index) (n int) {
	for i := range ix.Records {
		if r := &ix.Records[i]; !r.Expunged() && r.CacheOffset == 0 && r.CacheVersion>>16 == 0 {
			n++
		}
	}
	return n
}

// Finish has the server's own tools fill in what only it keeps: they read the messages that came for the cache, add them to the threads, and count the
// quota. It takes longer than bringing them back did, and may be done twice.
func (s *Spool) Finish(ctx context.Context) error {
	s.repack(ctx)
	if err := s.reconstruct(ctx, s.Unfinished(), "-q"); err != nil {
		return s.notCached(err)
	}
	for _, m := range s.changed { // reconstruct ends with 0 whatever became of it
		ix, err := s.index(ctx, m)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.notCached(err)
		}
		if err == nil && uncached(ix) > 0 {
			return s.notCached(fmt.Errorf("reconstruct left messages out of the cache of %s (%d)", s.src.Config().Admin(m.Name), uncached(ix)))
		}
	}
	// It adds messages to the threads only when they come by IMAP.
	//
	// cyrus: imap/ctl_conversationsdb.c build_cid_cb
	if s.src.Config().Bool("conversations") {
		if _, err := s.src.Tool(ctx, "ctl_conversationsdb", "-b", s.user); err != nil {
			return fmt.Errorf("messages are back, and the server's threads lack them (ctl_conversationsdb -b %s): %w", s.user, err)
		}
	}
	if err := s.count(ctx); err != nil {
		return err
	}
	s.changed = nil
	return nil
}

func (s *Spool) notCached(err error) error {
	return fmt.Errorf("messages are back, and the server's cache of them is not made (reconstruct %s): %w", strings.Join(s.Unfinished(), " "), err)
}

// repack has the server clean up the mailboxes that say so (needsRepack), by a call of reconstruct that changes nothing else: it reads each message and
// writes the cache once. What it does not do, the reconstruct behind it does, which would write the cache twice, and log each message as an error.
func (s *Spool) repack(ctx context.Context) {
	byVersion := map[uint32][]string{}
	for _, m := range s.changed {
		if ix, err := s.index(ctx, m); err == nil && ix.Options&needsRepack != 0 {
			byVersion[ix.Version] = append(byVersion[ix.Version], s.src.Config().Admin(m.Name))
		}
	}
	for version, names := range byVersion {
		_ = s.reconstruct(ctx, names, "-q", "-V", strconv.FormatUint(uint64(version), 10))
	}
}

// reconstruct calls it for mailboxes.
func (s *Spool) reconstruct(ctx context.Context, mailboxes []string, options ...string) error {
	for names := range slices.Chunk(mailboxes, 1000) { // the kernel bounds a command line
		if _, err := s.src.Tool(ctx, "reconstruct", slices.Concat(options, names)...); err != nil {
			return err
		}
	}
	return nil
}

// count sets the user's quota right. reconstruct tells it of bytes, but neither of messages, which it finds counted in the index, nor of folders.
//
// cyrus: imap/quota.c fixquota_dombox; imap/mailbox.c mailbox_reconstruct_create
func (s *Spool) count(ctx context.Context) error {
	live, err := s.inboxHeader()
	if err != nil || live.QuotaRoot != string(s.inbox.Mailbox.Name) { // none, or one that is not his
		return err
	}
	if _, err := s.src.Tool(ctx, "quota", "-f", "-q", "-u", s.user); err != nil {
		return fmt.Errorf("all is back, and the server's quota does not count it (Cyrus's own quota -f -u %s): %w", s.user, err)
	}
	return nil
}

// forgetStatus has the server look at a mailbox again when it is asked for its STATUS, where it keeps what it found.
//
// cyrus: imap/statuscache_db.c statuscache_buildkey, statuscache_read_index
func (s *Spool) forgetStatus(ctx context.Context, name cyrus.Name) error {
	conf := s.src.Config()
	if !conf.Bool("statuscache") {
		return nil
	}
	path := cmp.Or(conf.Get("statuscache_db_path"), filepath.Join(conf.Get("configdirectory"), "statuscache.db"))
	err := s.addRecords(ctx, path, "statuscache_db", "twoskip", map[string]string{string(name) + "%": "-"}, false)
	if err != nil {
		err = fmt.Errorf("its messages are back, and STATUS does not show them yet: %w", err)
	}
	return err
}

func (s *Spool) index(ctx context.Context, m cyrus.Mailbox) (*cyrus.Index, error) {
	paths, err := s.src.Config().Paths(m)
	if err != nil {
		return nil, err
	}
	return readIndex(ctx, paths.Index)
}
