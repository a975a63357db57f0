package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"backupfs/archive"
	"backupfs/cmd/internal/cli"
)

// dumpedPart is one line of an archive in --json.
type dumpedPart struct {
	Member *dumpedMember `json:"member,omitempty"`
	Entry  *dumpedEntry  `json:"entry,omitempty"`
	Run    *dumpedRun    `json:"run,omitempty"`
	Damage *dumpedDamage `json:"damage,omitempty"`
}

type dumpedMember struct {
	Offset    int64 `json:"offset"`
	Size      int64 `json:"size"`
	TarOffset int64 `json:"tar_offset"`
	TarSize   int64 `json:"tar_size"`
	Marker    bool  `json:"marker,omitempty"`
	Foreign   bool  `json:"foreign,omitempty"`
}

type dumpedEntry struct {
	Name      string `json:"name"`
	Link      string `json:"link,omitempty"`
	Type      string `json:"type"`
	Size      int64  `json:"size"`
	Mtime     int64  `json:"mtime"` // Unix seconds
	TarOffset int64  `json:"tar_offset"`
}

type dumpedRun struct {
	archive.Marker
	Inferred bool `json:"inferred"`
}

type dumpedDamage struct {
	From  int64  `json:"from"`
	To    int64  `json:"to"`
	Error string `json:"error"`
}

func dumpArchive(ctx context.Context, opts dumpOptions, out io.Writer) error {
	a, err := archive.Open(opts.file)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	end, err := a.Complete(archive.Position{})
	if err != nil {
		return err
	}
	print := printPart
	if opts.json {
		enc := json.NewEncoder(out)
		print = func(_ io.Writer, p dumpedPart) error { return enc.Encode(p) }
	}
	var damage error
	s := a.Scan(archive.Position{}, end, archive.ScanOptions{Resync: true, FirstRun: 1})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if e.Kind == archive.EventDamage {
			damage = e.Damage.Err
		}
		if err := print(out, part(e)); err != nil {
			return err
		}
	}
	if size, err := a.Size(); err != nil {
		return err
	} else if size > end.File && !opts.json {
		fmt.Fprintf(out, "rest %d, size %d: of a run that is not complete\n", end.File, size-end.File)
	}
	return damage
}

func part(e archive.Event) (p dumpedPart) {
	switch e.Kind {
	case archive.EventMember:
		m := e.Member
		p.Member = &dumpedMember{m.File, m.FileSize, m.Tar, m.TarSize, m.Marker, m.Foreign}
	case archive.EventEntry:
		n := e.Entry
		p.Entry = &dumpedEntry{n.Name, n.Linkname, string(n.Type), n.Size, n.Mtime, n.Offset}
	case archive.EventRun:
		p.Run = &dumpedRun{e.Run.Marker, e.Run.Inferred}
	case archive.EventDamage:
		p.Damage = &dumpedDamage{e.Damage.From.File, e.Damage.To.File, e.Damage.Err.Error()}
	}
	return p
}

func printPart(out io.Writer, p dumpedPart) (err error) {
	switch {
	case p.Member != nil:
		m := p.Member
		kind := ""
		if m.Marker {
			kind = " marker"
		}
		if m.Foreign {
			kind = " of another tool"
		}
		_, err = fmt.Fprintf(out, "member %d size %d tar %d size %d%s\n", m.Offset, m.Size, m.TarOffset, m.TarSize, kind)
	case p.Entry != nil:
		e := p.Entry
		_, err = fmt.Fprintf(out, "entry %d type %s size %d %s %s -> %s\n", e.TarOffset, cli.Clean(e.Type), e.Size, stamp(e.Mtime), cli.Clean(e.Name), cli.Clean(e.Link))
	case p.Run != nil:
		r := p.Run
		kind := ""
		if r.Inferred {
			kind = " inferred"
		}
		_, err = fmt.Fprintf(out, "run %d%s begun %s folders %d messages %d bytes %d new %d digest %s\n", r.Run, kind, stamp(r.Begun.Unix()),
			r.Folders, r.Messages, r.Bytes, r.NewMessages, r.Digest)
	case p.Damage != nil:
		_, err = fmt.Fprintf(out, "damage from %d to %d: %s\n", p.Damage.From, p.Damage.To, cli.Clean(p.Damage.Error))
	}
	return err
}
