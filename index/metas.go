package index

import (
	"fmt"

	"backupfs/archive"
	"backupfs/cyrus"
)

// Meta is a meta file as of a run.
type Meta struct {
	Name  string     // cyrus.index …; seen, sub
	SHA1  cyrus.GUID // of the content
	Size  int64
	Mtime int64 // Unix seconds
	Tar   int64 // of the content
	First int   // run that stored it
}

const metaColumns = "SELECT name, sha1, size, mtime, tar, first"

// scanMeta takes metaColumns.
func scanMeta(r *row) Meta {
	m := Meta{Name: r.text(0), Size: r.nat(2), Mtime: r.int(3), Tar: r.nat(4), First: int(r.nat(5))}
	copy(m.SHA1[:], r.blob(1))
	return m
}

// Metas returns a folder's meta files as of a run by name (cyrus.backupfs among them), the user's own for folder 0.
func (ix *Index) Metas(folder int64, run int) (metas []Meta, err error) {
	err = ix.query(func(r *row) error {
		metas = append(metas, scanMeta(r))
		return nil
	}, metaColumns+" FROM metas WHERE folder = ?1 AND first <= ?2 AND last >= ?2 ORDER BY name", folder, int64(run))
	return metas, err
}

// MetaAt finds the meta file whose content stands at a tar offset.
func (ix *Index) MetaAt(tar int64) (m Meta, ok bool, err error) {
	ok, err = ix.one(func(r *row) { m = scanMeta(r) }, metaColumns+" FROM metas WHERE tar = ?", tar)
	return m, ok, err
}

// Member returns the member that holds a tar offset; archive.ErrDamaged if none does, as where damage was skipped.
func (ix *Index) Member(tar int64) (archive.Member, error) {
	var m archive.Member
	_, err := ix.one(func(r *row) { m = scanMember(r) }, memberColumns+"WHERE tar <= ? ORDER BY tar DESC, file DESC LIMIT 1", tar)
	if err == nil && tar >= m.Tar+m.TarSize {
		err = fmt.Errorf("%s: %w: no member holds tar offset %d", ix.path, archive.ErrDamaged, tar)
	}
	return m, err
}

// Known is what the index knows of its archive, for who reads that.
func (ix *Index) Known() archive.Known {
	return archive.Known{Member: ix.Member, Contents: ix.contents}
}

// contents returns what has bytes in [from, to) of the tar stream.
func (ix *Index) contents(from, to int64) (contents []archive.Content, err error) {
	stored, err := ix.StoredIn(from, to)
	for _, s := range stored {
		contents = append(contents, archive.Content{Tar: s.Tar, Size: s.Size, SHA1: s.SHA1})
	}
	return contents, err
}

const memberColumns = "SELECT tar, file, filesize, tarsize, first, flags, (SELECT id FROM status) FROM members "

func scanMember(r *row) archive.Member {
	flags := r.int(5)
	m := archive.Member{Position: archive.Position{Tar: r.nat(0), File: r.nat(1)}, FileSize: r.nat(2), TarSize: r.nat(3),
		First: uint32(r.int(4)), Marker: flags&flagMarker != 0, Foreign: flags&flagForeign != 0}
	if !m.Foreign {
		m.ID = uint32(r.int(6))
	}
	return m
}
