package backup

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"backupfs/archive"
	"backupfs/cyrus"
)

// errDiffers: an archive does not hold all that another does.
var errDiffers = errors.New("it does not hold the same")

// history reads what an archive says, however that is packed and written: its entries and runs. The links of a run come last, by the
// names that we give to folders.
type history struct {
	s     *archive.Scanner
	end   archive.Position
	links []archive.Event // of the current run
	queue []archive.Event // to be delivered
}

func newHistory(a *archive.Archive, end archive.Position) *history {
	return &history{s: a.Scan(archive.Position{}, end, archive.ScanOptions{FirstRun: 1}), end: end}
}

// next returns the next entry or run, io.EOF behind the last.
func (h *history) next(ctx context.Context, progress func(done, total int64)) (archive.Event, error) {
	for len(h.queue) == 0 {
		if err := ctx.Err(); err != nil {
			return archive.Event{}, err
		}
		e, err := h.s.Next()
		switch {
		case err != nil:
			return e, err
		case e.Kind == archive.EventMember:
			progress(e.Member.File, h.end.File)
		case e.Kind == archive.EventRun:
			if e.Run.Inferred {
				links := make([]*archive.Entry, len(h.links))
				for i := range h.links {
					links[i] = &h.links[i].Entry
				}
				canonical(links)
			}
			h.queue, h.links = append(h.links, e), nil
		case strings.HasPrefix(e.Entry.Name, linkPrefix) && e.Entry.Size == 0:
			e.Body = strings.NewReader("")
			h.links = append(h.links, e)
		case !dropped(e.Entry.Name):
			return e, nil
		}
	}
	e := h.queue[0]
	h.queue = h.queue[1:]
	return e, nil
}

const linkPrefix = "imap/"

// canonical gives the links of another tool's run our names.
func canonical(links []*archive.Entry) {
	names := make([]string, len(links))
	for i, l := range links {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(l.Name, linkPrefix), "/")
	}
	for i, name := range cyrus.Canonical(names) {
		links[i].Name = linkPrefix + name + "/"
	}
}

// dropped says that a name is of what older versions of Cyrus's tools stored and newer ones drop
// (cyrus: perl/imap/lib/Cyrus/Backup.pm CompressBackup).
func dropped(name string) bool {
	return strings.HasPrefix(name, "annot/") || strings.HasPrefix(name, "sieve/")
}

// compare proves that an archive begins with all runs and entries of the original, and that these have their digests. errDiffers if
// it does not.
func (im *importing) compare(ctx context.Context, path string) error {
	copied, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = copied.Close() }()
	end, err := copied.Complete(archive.Position{})
	if err != nil {
		return err
	}
	from, to := newHistory(im.from, im.end), newHistory(copied, end)
	differs := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w as %s: %s", path, errDiffers, im.from.Path(), fmt.Sprintf(format, args...))
	}
	for run := 1; ; {
		a, err := from.next(ctx, im.progress("comparing"))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := to.next(ctx, func(_, _ int64) {})
		for err == nil && ourNote(b) && a.Entry.Name != b.Entry.Name { // convert added it
			b, err = to.next(ctx, func(_, _ int64) {})
		}
		if err == io.EOF {
			return differs("run %d is missing", run)
		}
		if err != nil {
			return err
		}
		switch {
		case a.Kind != b.Kind:
			return differs("run %d has more entries in one of them", run)
		case a.Kind == archive.EventRun:
			if !a.Run.Begun.Equal(b.Run.Begun) {
				return differs("run %d began at %s and %s", run, b.Run.Begun, a.Run.Begun)
			}
			run++
		default:
			same, err := im.sameEntry(a, b)
			if err != nil {
				return err
			}
			if !same {
				return differs("%s of run %d", a.Entry.Name, run)
			}
		}
	}
}

func ourNote(e archive.Event) bool {
	_, file, _ := folderFile(e.Entry.Name)
	return file == "cyrus.backupfs"
}

// sameEntry compares two entries, and checks the first one's digests.
func (im *importing) sameEntry(a, b archive.Event) (bool, error) {
	x, y := a.Entry, b.Entry
	if x.Name != y.Name || x.Linkname != y.Linkname || x.Type != y.Type || x.Size != y.Size || x.Mtime != y.Mtime {
		return false, nil
	}
	sums := [2]hash.Hash{sha1.New(), sha1.New()}
	n, err := io.Copy(sums[0], a.Body)
	if err == nil {
		_, err = io.Copy(sums[1], b.Body)
	}
	if err != nil {
		return false, err
	}
	sum := hex.EncodeToString(sums[0].Sum(nil))
	if err := wrongBytes(x, n, sum); err != nil {
		return false, fmt.Errorf("%s: %s: %w: %w", im.from.Path(), x.Name, archive.ErrDamaged, err)
	}
	return sum == hex.EncodeToString(sums[1].Sum(nil)), nil
}
