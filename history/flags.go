package history

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"backupfs/cyrus"
	"backupfs/index"
)

// Flags are those of a folder's messages in a run, and the messages' modification sequences.
type Flags struct {
	sets    [][]string   // of flags: a folder's messages have few different ones
	records []flagRecord // by UID
}

type flagRecord struct {
	uid    uint32
	set    int32
	modseq uint64
}

// Message returns IMAP's flags of a message, by UID, which must not be changed, and its modification sequence.
func (f *Flags) Message(uid uint32) (flags []string, modseq uint64, ok bool) {
	i, ok := slices.BinarySearchFunc(f.records, uid, func(r flagRecord, uid uint32) int { return cmp.Compare(r.uid, uid) })
	if !ok {
		return nil, 0, false
	}
	return f.sets[f.records[i].set], f.records[i].modseq, true
}

// Of returns a message's flags alone.
func (f *Flags) Of(uid uint32) []string {
	flags, _, _ := f.Message(uid)
	return flags
}

// Len is the number of messages, of 16 bytes each.
func (f *Flags) Len() int { return len(f.records) }

// newFlags takes from a folder's index what is asked for; keywords are those of its header.
func newFlags(ix *cyrus.Index, keywords []string) *Flags {
	type bits struct {
		system uint32
		user   [4]uint32
	}
	f, known := &Flags{}, map[bits]int32{}
	for i := range ix.Records {
		r := &ix.Records[i]
		if r.Unlinked() {
			continue
		}
		b := bits{r.SystemFlags, r.UserFlags}
		set, ok := known[b]
		if !ok {
			set = int32(len(f.sets))
			known[b], f.sets = set, append(f.sets, r.FlagNames(keywords))
		}
		f.records = append(f.records, flagRecord{r.UID, set, r.Modseq})
	}
	// As the tree has it, of a UID that a damaged index has twice the later record counts.
	slices.Reverse(f.records)
	slices.SortStableFunc(f.records, func(a, b flagRecord) int { return cmp.Compare(a.uid, b.uid) })
	f.records = slices.CompactFunc(f.records, func(a, b flagRecord) bool { return a.uid == b.uid })
	return f
}

// FlagFiles are the files that say what flags a folder's messages have in a run.
type FlagFiles struct{ index, header index.Meta }

// FlagFilesOf finds them among a folder's meta files.
func FlagFilesOf(metas []index.Meta) (f FlagFiles) {
	for _, m := range metas {
		switch m.Name {
		case "cyrus.index":
			f.index = m
		case "cyrus.header":
			f.header = m
		}
	}
	return f
}

// Since is the first run in which they were what they are; 0 if there is no index.
func (f FlagFiles) Since() int {
	if f.index.Name == "" {
		return 0
	}
	return max(f.index.First, f.header.First)
}

// Read reads them, if none is larger than what is taken into memory.
func (f FlagFiles) Read(content func(index.Meta) ([]byte, error)) (*Flags, error) {
	for _, m := range []index.Meta{f.index, f.header} {
		if m.Size > index.MaxMeta {
			return nil, fmt.Errorf("%s: %d bytes are too many to be read", m.Name, m.Size)
		}
	}
	b, err := content(f.index)
	var ix *cyrus.Index
	if err == nil {
		ix, err = cyrus.ParseIndex(b)
	}
	if err != nil {
		return nil, fmt.Errorf("cyrus.index: %w", err)
	}
	var keywords []string
	if f.header.Size > 0 {
		b, err := content(f.header)
		var h *cyrus.Header
		if err == nil {
			h, err = cyrus.ParseHeader(b)
		}
		if err != nil {
			return nil, fmt.Errorf("cyrus.header: %w", err)
		}
		keywords = h.Flags
	}
	return newFlags(ix, keywords), nil
}

// folderFlags are a folder's flags, and the files that say them.
type folderFlags struct {
	files FlagFiles
	flags *Flags
}

// readFlags returns the flags of a folder's messages in a run. They are kept until others are asked for.
func (p *Past) readFlags(ctx context.Context, f *Folder, run int) (*Flags, error) {
	metas, err := p.index.Metas(f.ID, run)
	if err != nil {
		return nil, err
	}
	files := FlagFilesOf(metas)
	if p.flags.flags != nil && p.flags.files == files {
		return p.flags.flags, nil
	}
	flags, err := files.Read(func(m index.Meta) ([]byte, error) { return io.ReadAll(p.content(ctx, m.Tar, m.Size)) })
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", p.date(run), f.path(run), err)
	}
	p.flags = folderFlags{files, flags}
	return flags, nil
}
