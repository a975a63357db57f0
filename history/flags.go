package history

import (
	"context"
	"fmt"
	"io"

	"backupfs/cyrus"
	"backupfs/index"
)

// Flags are those of a folder's messages in a run.
type Flags struct {
	index    *cyrus.Index
	keywords []string
	records  map[uint32]int // by UID
}

// Of returns IMAP's flags of a message, by UID.
func (f *Flags) Of(uid uint32) []string {
	i, ok := f.records[uid]
	if !ok {
		return nil
	}
	return f.index.Records[i].FlagNames(f.keywords)
}

// folderFlags are a folder's flags, and the places in the tar of the files that say them.
type folderFlags struct {
	index, header int64
	flags         *Flags
}

// readFlags returns the flags of a folder's messages in a run. They are kept until others are asked for.
func (p *Past) readFlags(ctx context.Context, f *Folder, run int) (*Flags, error) {
	metas, err := p.index.Metas(f.ID, run)
	if err != nil {
		return nil, err
	}
	files := map[string]index.Meta{}
	for _, m := range metas {
		files[m.Name] = m
	}
	ix, header := files["cyrus.index"], files["cyrus.header"]
	if kept := p.flags; kept.flags != nil && kept.index == ix.Tar && kept.header == header.Tar {
		return kept.flags, nil
	}
	flags := &Flags{records: map[uint32]int{}}
	wrap := func(name string, err error) error {
		return fmt.Errorf("%s: %s: %s: %w", p.date(run), f.path(run), name, err)
	}
	b, err := io.ReadAll(p.content(ctx, ix.Tar, ix.Size))
	if err == nil {
		flags.index, err = cyrus.ParseIndex(b)
	}
	if err != nil {
		return nil, wrap("cyrus.index", err)
	}
	for i := range flags.index.Records {
		flags.records[flags.index.Records[i].UID] = i
	}
	if header.Size > 0 {
		b, err := io.ReadAll(p.content(ctx, header.Tar, header.Size))
		var h *cyrus.Header
		if err == nil {
			h, err = cyrus.ParseHeader(b)
		}
		if err != nil {
			return nil, wrap("cyrus.header", err)
		}
		flags.keywords = h.Flags
	}
	p.flags = folderFlags{ix.Tar, header.Tar, flags}
	return flags, nil
}
