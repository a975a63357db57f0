package backup

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/source"
)

// conversion writes the runs of a plain tar as runs of ours.
type conversion struct {
	im   *importing
	app  *archive.Appender
	owed map[string]bool // folders with a cyrus.index in this run, and no cyrus.backupfs behind it yet
}

// convert makes an archive in dir, of which no name is synced.
func (im *importing) convert(ctx context.Context, dir string) (path string, err error) {
	app, err := archive.Create(dir, im.result.Runs[0].Begun, im.opts.Append)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	c := conversion{im, app, make(map[string]bool)}
	h := newHistory(im.from, im.end)
	for {
		e, err := h.next(ctx, im.progress("compressing"))
		if err == io.EOF {
			return app.Path(), nil
		}
		if err == nil && e.Kind == archive.EventRun {
			err = c.finish(e.Run)
		} else if err == nil {
			err = c.add(e)
		}
		if err != nil {
			return "", err
		}
	}
}

// add appends an entry as it is.
func (c *conversion) add(e archive.Event) error {
	switch folder, file, _ := folderFile(e.Entry.Name); file {
	case "cyrus.index":
		c.owed[folder] = true
	case "cyrus.backupfs":
		delete(c.owed, folder)
	}
	_, err := c.app.Add(e.Entry, e.Body)
	return err
}

// finish ends a run, with the numbers that the index has of it. Behind a cyrus.index docs/format.md wants a cyrus.backupfs: it has
// nothing to say.
func (c *conversion) finish(r archive.Run) error {
	for _, folder := range slices.Sorted(maps.Keys(c.owed)) {
		nothing := source.File{Name: "cyrus.backupfs", Data: index.Exceptions{}.Marshal(), Mtime: r.Begun.Unix()}
		if err := addFile(c.app, "folders/"+folder+"/", nothing); err != nil {
			return err
		}
	}
	clear(c.owed)
	m := c.im.result.Runs[r.Run-1].Marker
	m.User, m.Source = c.im.user.Name, "Cyrus::Backup"
	_, err := c.app.Finish(m)
	return err
}
