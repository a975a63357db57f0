package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"backupfs/cyrus"
)

// serversOwn are annotations in which Cyrus keeps for itself what it knows of a message or how it treats a folder.
const serversOwn = "/vendor/cmu/cyrus-imapd/"

// specialUse is what a folder is for its user (RFC 6154): only one is the Trash.
const specialUse = "/specialuse"

// apart: METADATA that says how the server is to treat a folder, and that a second one beside it should not have.
func apart(a cyrus.Annotation) bool {
	return a.Entry == specialUse || strings.HasPrefix(a.Entry, "/vendor/cmu/")
}

// messageAnnotations are records of a mailbox's cyrus.annotations: what messages had on the date, under the UIDs that they have there.
func (s *Spool) messageAnnotations(f *Folder, box cyrus.Mailbox, uids map[uint32]uint32, modseq uint64) (map[string]string, error) {
	had, err := cyrus.MessageAnnotations(f.Annotations, s.user)
	if err != nil {
		return nil, fmt.Errorf("annotations of its messages: cyrus.annotations: %w", err)
	}
	records := map[string]string{}
	for was, is := range uids {
		for _, a := range had[was] {
			if !strings.HasPrefix(a.Entry, serversOwn) {
				records[box.AnnotationKey(is, s.renamedIn(a))] = cyrus.AnnotationData(a.Value, modseq)
			}
		}
	}
	return records, nil
}

// renamedIn gives the owner's annotations to him, whatever he is called by now.
func (s *Spool) renamedIn(a cyrus.Annotation) cyrus.Annotation {
	if a.User == s.was {
		a.User = s.user
	}
	return a
}

// annotate adds records to a mailbox's cyrus.annotations.
func (s *Spool) annotate(ctx context.Context, paths cyrus.Paths, records map[string]string) error {
	err := s.addRecords(ctx, paths.Annotations, "annotation_db", "twoskip", records, false)
	if err != nil {
		err = fmt.Errorf("its messages are back without their annotations: %w", err)
	}
	return err
}

// setMetadata adds what a mailbox has not, under the locks that imapd takes for SETMETADATA.
//
// cyrus: imap/annotate.c annotation_set_todb, write_entry
func (s *Spool) setMetadata(ctx context.Context, box cyrus.Mailbox, paths cyrus.Paths, list []cyrus.Annotation, dryRun bool) (n int, err error) {
	if dryRun {
		add, err := s.lacking(ctx, box, list)
		return len(add), err
	}
	if n, err = s.setLacking(ctx, box, paths, list); n > 0 && err == nil {
		s.touch(box) // the quota counts them
	}
	return n, err
}

func (s *Spool) setLacking(ctx context.Context, box cyrus.Mailbox, paths cyrus.Paths, list []cyrus.Annotation) (int, error) {
	locked, err := s.lock(ctx, paths)
	if err != nil {
		return 0, err
	}
	defer locked.release()
	add, err := s.lacking(ctx, box, list)
	if err == nil {
		err = s.addRecords(ctx, s.src.Config().Get("annotation_db_path"), "annotation_db", "twoskip", add, false)
	}
	if err != nil {
		return 0, fmt.Errorf("METADATA: %w", err)
	}
	return len(add), nil
}

// lacking are records of annotations.db that the mailbox has not.
func (s *Spool) lacking(ctx context.Context, box cyrus.Mailbox, list []cyrus.Annotation) (map[string]string, error) {
	if box.UniqueID == "" && !box.Before36 {
		return nil, errors.New("it has no UniqueID, by which the server could find it (reconstruct makes one)")
	}
	all, err := s.src.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	uses := ""
	for _, m := range s.boxes {
		for _, a := range all.Of(m.Mailbox) {
			if a.Entry == specialUse && !m.Mailbox.Name.Deleted() {
				uses += " " + a.Value
			}
		}
	}
	taken := func(use string) bool { return slices.Contains(strings.Fields(uses), use) }
	add := map[string]string{}
	for _, a := range list {
		a = s.renamedIn(a)
		if s.below != "" && apart(a) || a.Entry == specialUse && slices.ContainsFunc(strings.Fields(a.Value), taken) {
			continue
		}
		add[box.AnnotationKey(0, a)] = cyrus.AnnotationData(a.Value, 0)
	}
	for _, a := range all.Of(box) {
		delete(add, box.AnnotationKey(0, a))
	}
	return add, nil
}
