package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/internal/durable"
	"backupfs/internal/store"
)

// ErrOther: the store has an archive of a user that is to be imported, and not with the same history.
var ErrOther = errors.New("the store has another archive of this user")

// ErrChanging: an archive that is to be imported is being written.
var ErrChanging = errors.New("another tool is changing it at this moment")

// ImportOptions of an import.
type ImportOptions struct {
	DryRun   bool // only say what would be imported
	Append   archive.AppendOptions
	Progress func(doing string, done, total int64)
}

// Imported says what was imported, or would be.
type Imported struct {
	Runs    []index.Run // none: there is no complete run
	LeftOut int64       // bytes behind the last complete run, which did not finish
	Already bool        // it stands in the store already: nothing was done
	Index   error       // why the index could not be made. The archive is in the store; the next run, or a reindex, mends it
}

// importing is one import of one user.
type importing struct {
	opts   ImportOptions
	user   store.User // in our store
	from   *archive.Archive
	end    archive.Position // of from's last run
	result Imported
}

// Import copies the archive of a user of another tool's store, whose index is up to date, into st, with all its runs. Gzip members are
// copied as they are; a plain tar becomes runs of ours, since none could be appended to it. ErrDamaged if anything in the archive is
// wrong: nothing is imported then. When it returns without an error, the copy is on disk and was compared with the original, entry by
// entry; until then the user has no archive. Where the store has one already, it must begin with the same history, and nothing is done,
// else ErrOther.
func Import(ctx context.Context, st *store.Store, from store.User, opts ImportOptions) (*Imported, error) {
	im := &importing{opts: opts}
	path, err := from.Archive()
	if err != nil {
		return nil, err
	}
	if im.from, err = archive.Open(path); err != nil {
		return nil, err
	}
	defer func() { _ = im.from.Close() }()
	if err := im.known(from.Index()); err != nil || len(im.result.Runs) == 0 {
		return &im.result, err
	}
	if im.user, err = st.User(from.Name); err != nil {
		return nil, err
	}
	if !opts.DryRun {
		if err := im.user.Make(); err != nil {
			return nil, err
		}
		release, err := locked(im.user)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	target, err := im.user.Archive()
	switch {
	case err == nil:
		err = im.already(ctx, target)
	case errors.Is(err, fs.ErrNotExist) && opts.DryRun:
		err = nil
	case errors.Is(err, fs.ErrNotExist):
		target, err = im.commit(ctx)
	}
	if err == nil && !opts.DryRun {
		im.result.Index = im.index(ctx, target)
	}
	return &im.result, err
}

// known reads what the index of the original says.
func (im *importing) known(path string) error {
	ix, err := index.OpenRead(path)
	if err != nil {
		return err
	}
	defer func() { _ = ix.Close() }()
	status, err := ix.Status()
	if err != nil {
		return err
	}
	fits, err := ix.Fits(im.from)
	if err != nil {
		return err
	}
	problems, err := ix.Problems()
	if err != nil {
		return err
	}
	switch {
	case !fits:
		return fmt.Errorf("%s: %w", im.from.Path(), ErrChanging)
	case len(problems) > 0:
		p := problems[0]
		return fmt.Errorf("%s: %w: %s", im.from.Path(), archive.ErrDamaged, strings.TrimSpace(p.Entry+" "+p.Text))
	}
	size, err := im.from.Size()
	if err != nil {
		return err
	}
	im.end, im.result.LeftOut = status.End, size-status.End.File
	im.result.Runs, err = ix.Runs()
	return err
}

// already looks whether the archive in the store begins with all that is to be imported.
func (im *importing) already(ctx context.Context, path string) error {
	err := im.compare(ctx, path)
	if errors.Is(err, errDiffers) {
		return fmt.Errorf("%w: %w", ErrOther, err)
	}
	im.result.Already = err == nil
	return err
}

// commit makes the user's archive, in the order that everything depends on.
func (im *importing) commit(ctx context.Context) (path string, err error) {
	// 1. An index without runs. With it, a crash up to step 4 leaves what a first run leaves that did not finish: a user without
	//    dates, and no damage. Both a backup and an import go on from there.
	if known, err := im.indexed(); err != nil || known.Runs > 0 {
		if err == nil {
			err = fmt.Errorf("%s: %w: the file is gone", filepath.Join(im.user.Dir, known.Archive), ErrLost)
		}
		return "", err
	}
	// 2. The copy, in a folder where nobody looks for an archive. A crash leaves that folder, which the next import removes.
	dir := filepath.Join(im.user.Dir, "import")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied, err := im.from.Copy(ctx, dir, im.end, im.progress("copying"))
	if errors.Is(err, archive.ErrPlain) {
		copied, err = im.convert(ctx, dir)
	}
	if err != nil {
		return "", err
	}
	// 3. It counts only if all of the original stands in it, and the original is what it must be.
	if err := im.compare(ctx, copied); err != nil {
		return "", err
	}
	// 4. Its place. From here on the user is imported. What is left is the index, see Import: of a crash before it, the next import
	//    or backup makes it.
	path = filepath.Join(im.user.Dir, filepath.Base(copied))
	return path, durable.Rename(copied, path)
}

// indexed makes the user's index if there is none, and returns what it knows.
func (im *importing) indexed() (index.Status, error) {
	ix, err := index.OpenWrite(im.user.Index())
	if err != nil {
		return index.Status{}, err
	}
	status, err := ix.Status()
	return status, errors.Join(err, ix.Close())
}

// index fills the user's index, unless that was done. It is a cache: that it fails is told, and the import stands.
func (im *importing) index(ctx context.Context, path string) (err error) {
	if known, err := im.indexed(); err != nil || known.Runs > 0 {
		return err
	}
	a, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }()
	ix, err := index.OpenWrite(im.user.Index())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	return ix.CatchUp(ctx, a, im.progress("making an index"))
}

func (im *importing) progress(doing string) func(done, total int64) {
	return func(done, total int64) {
		if im.opts.Progress != nil {
			im.opts.Progress(doing, done, total)
		}
	}
}
