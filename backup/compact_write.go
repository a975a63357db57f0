package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
)

// compaction writes the new archive: run by run, what each shows and the one before it did not, or not so. It goes by the index, and reads
// nothing of the old archive but what it takes.
type compaction struct {
	*rewrite
	copier
	ix       *index.Index // of the old archive
	kept     []index.Run
	lost     []Lost // as they are named in the new archive
	total    int64  // about as much tar will it be
	progress func(done, total int64)

	// What the new archive has by now.
	done    int64  // bytes of messages
	stored  []bool // messages, by row of their bytes
	names   map[string]string
	metas   map[metaKey]index.Meta
	folders map[int64]folderAsOf
}

// metaKey is a file of a folder, or of the user (0).
type metaKey struct {
	folder int64
	name   string
}

// folderAsOf is what the new archive has of a folder.
type folderAsOf struct {
	run             int        // as of which; 0: nothing
	index, backupfs index.Meta // of the old archive, by which says was found
	says            index.Exceptions
}

func (c *compaction) all(ctx context.Context) error {
	c.names, c.metas, c.folders = map[string]string{}, map[metaKey]index.Meta{}, map[int64]folderAsOf{}
	for i, r := range c.kept {
		if err := c.run(ctx, r, i == len(c.kept)-1); err != nil {
			return err
		}
	}
	return nil
}

// run writes one run, in the order of docs/format.md.
func (c *compaction) run(ctx context.Context, r index.Run, last bool) error {
	if _, err := c.files(ctx, r, 0, "meta/", []string{"seen", "sub"}); err != nil {
		return err
	}
	folders, err := c.ix.Folders(r.Run.Run)
	if err != nil {
		return err
	}
	names := map[string]string{}
	for _, f := range folders {
		names[f.Archived] = f.UniqueID
	}
	for _, name := range slices.Sorted(maps.Keys(c.names)) {
		if _, ok := names[name]; !ok {
			if err := c.link(ctx, r, name, ""); err != nil {
				return err
			}
		}
	}
	var states map[string]index.State
	if last {
		if states, err = c.ix.States(); err != nil {
			return err
		}
	}
	for _, f := range folders {
		var now *index.State
		if st, ok := states[f.UniqueID]; ok {
			now = &st
		}
		if err := c.folder(ctx, r, f, now); err != nil {
			return err
		}
		if err := c.link(ctx, r, f.Archived, f.UniqueID); err != nil {
			return err
		}
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	m := r.Marker
	m.User, m.Lost = c.user.Name, 0
	for _, l := range c.lost {
		if l.Run == r.Run.Run {
			m.Lost++
		}
	}
	if last && len(c.lost) > 0 {
		if err := c.file(lostEntry, marshalLost(c.lost), r); err != nil {
			return err
		}
	}
	_, err = c.rewrite.app.Finish(m)
	return err
}

// link makes a name stand for a folder, "" for none, unless it does.
func (c *compaction) link(ctx context.Context, r index.Run, name, id string) error {
	if was, ok := c.names[name]; ok && was == id {
		return nil
	}
	if c.names[name] = id; id == "" {
		delete(c.names, name)
	}
	return c.made(ctx, archive.Entry{Name: "imap/" + name + "/", Linkname: id, Type: archive.TypeLink, Mtime: r.Begun.Unix()})
}

// made adds an entry without content.
func (c *compaction) made(ctx context.Context, e archive.Entry) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	_, err := c.rewrite.app.Add(e, nil)
	return err
}

// files writes those of the named files of a folder that are others at a run than what the new archive has, and notes those that are gone. It
// returns how many entries that took.
func (c *compaction) files(ctx context.Context, r index.Run, folder int64, dir string, names []string) (n int, err error) {
	metas, err := c.ix.Metas(folder, r.Run.Run)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		key := metaKey{folder, name}
		was, had := c.metas[key]
		m, has := metaNamed(metas, name)
		switch {
		case had && !has:
			n++
			delete(c.metas, key)
			err = c.made(ctx, archive.Entry{Name: dir + name, Type: archive.TypeFile})
		case has && !(had && was.Tar == m.Tar):
			n++
			c.metas[key] = m
			err = c.copier.add(ctx, wanted{Entry: archive.Entry{Name: dir + name, Size: m.Size, Data: m.Tar}, sha1: m.SHA1})
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func metaNamed(metas []index.Meta, name string) (m index.Meta, ok bool) {
	i := slices.IndexFunc(metas, func(m index.Meta) bool { return m.Name == name })
	if i < 0 {
		return m, false
	}
	return metas[i], true
}

// folder writes a folder as of a run: messages, the cyrus.index that needs them, other files, cyrus.backupfs. now is what the next backup
// goes by, of the last run, else nil.
func (c *compaction) folder(ctx context.Context, r index.Run, f index.Folder, now *index.State) error {
	at := c.folders[f.ID]
	for m, err := range c.ix.NewMessages(f.ID, at.run, r.Run.Run) {
		if err == nil && m.Tar >= 0 {
			err = c.message(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	is, err := c.asOf(ctx, f.ID, r.Run.Run, at)
	if err != nil {
		return err
	}
	if now != nil {
		is.says = now.Exceptions
	}
	dir := "folders/" + f.UniqueID + "/"
	n, err := c.files(ctx, r, f.ID, dir, folderFiles)
	if err != nil {
		return err
	}
	// It comes with each of the others: what a run without it brought, nobody knows the fingerprint of. Exceptions change with a cyrus.index
	// only.
	if n > 0 || is.says.Fingerprint != at.says.Fingerprint {
		if err := c.flush(ctx); err != nil {
			return err
		}
		if err := c.file(dir+"cyrus.backupfs", is.says.Marshal(), r); err != nil {
			return err
		}
	}
	c.folders[f.ID] = is
	return nil
}

// message writes a message, unless that was done.
func (c *compaction) message(ctx context.Context, m index.Message) error {
	if lacks := int(m.File) + 1 - len(c.stored); lacks > 0 {
		c.stored = append(c.stored, make([]bool, lacks)...)
	}
	if c.stored[m.File] {
		return nil
	}
	c.stored[m.File] = true
	c.done += m.Size
	c.progress(c.done, c.total)
	return c.copier.add(ctx, wanted{Entry: archive.Entry{Name: "files/" + m.GUID.String(), Size: m.Size, Data: m.Tar}, sha1: m.GUID})
}

// asOf is what a folder is by as of a run: the exceptions are those that came with its cyrus.index, or none, whatever came later; the fingerprint
// is the last one.
func (c *compaction) asOf(ctx context.Context, folder int64, run int, at folderAsOf) (folderAsOf, error) {
	metas, err := c.ix.Metas(folder, run)
	if err != nil {
		return folderAsOf{}, err
	}
	is := folderAsOf{run: run}
	var hasIndex, hasOwn bool
	is.index, hasIndex = metaNamed(metas, "cyrus.index")
	is.backupfs, hasOwn = metaNamed(metas, "cyrus.backupfs")
	if at.run > 0 && is.index == at.index && is.backupfs == at.backupfs {
		is.says = at.says
		return is, nil
	}
	var last index.Exceptions
	if hasOwn {
		if last, err = c.parse(ctx, is.backupfs); err != nil {
			return folderAsOf{}, err
		}
	}
	is.says.Fingerprint = last.Fingerprint
	if !hasIndex {
		return is, nil
	}
	with, hasWith := is.backupfs, hasOwn
	if hasOwn && with.First != is.index.First {
		if metas, err = c.ix.Metas(folder, is.index.First); err != nil {
			return folderAsOf{}, err
		}
		if with, hasWith = metaNamed(metas, "cyrus.backupfs"); hasWith {
			if last, err = c.parse(ctx, with); err != nil {
				return folderAsOf{}, err
			}
		}
	}
	if hasWith && with.First == is.index.First {
		is.says.Message, is.says.Missing = last.Message, last.Missing
	}
	return is, nil
}

// parse reads a cyrus.backupfs.
func (c *compaction) parse(ctx context.Context, m index.Meta) (index.Exceptions, error) {
	if m.Size > index.MaxMeta {
		return index.Exceptions{}, fmt.Errorf("%s: %s: %d bytes are too many to be read", c.from.Path(), m.Name, m.Size)
	}
	b := make([]byte, m.Size)
	if _, err := c.cache.ReadAt(ctx, c.from, c.copier.ix.Known(), b, m.Tar); err != nil {
		return index.Exceptions{}, err
	}
	return index.ParseExceptions(b)
}

// stillLost are those of the entries that repairs named as lost which matter to a run that is kept, named by the first such run.
func (c *compaction) stillLost(lost []Lost) ([]Lost, error) {
	var runs []int
	for _, r := range c.kept {
		runs = append(runs, r.Run.Run)
	}
	without, err := c.ix.Without(runs)
	if err != nil {
		return nil, err
	}
	states, err := c.ix.States()
	if err != nil {
		return nil, err
	}
	var still []Lost
	shown := map[int]map[int64]bool{} // folders, by run
	for _, l := range lost {
		i, _ := slices.BinarySearch(runs, l.Run)
		if i == len(runs) {
			continue
		}
		was := l.Run
		l.Run = runs[i]
		if digest, ok := strings.CutPrefix(l.Name, "files/"); ok {
			if guid, err := cyrus.ParseGUID(digest); err == nil && without[guid] {
				still = append(still, l)
			}
			continue
		}
		id, name, _ := strings.Cut(strings.TrimPrefix(l.Name, "folders/"), "/")
		folder := states[id].Folder // 0: the user's own
		if shown[l.Run] == nil {
			folders, err := c.ix.Folders(l.Run)
			if err != nil {
				return nil, err
			}
			shown[l.Run] = map[int64]bool{0: true}
			for _, f := range folders {
				shown[l.Run][f.ID] = true
			}
		}
		metas, err := c.ix.Metas(folder, l.Run)
		if err != nil {
			return nil, err
		}
		if m, has := metaNamed(metas, name); shown[l.Run][folder] && !(has && m.First > was) {
			still = append(still, l)
		}
	}
	return still, nil
}
