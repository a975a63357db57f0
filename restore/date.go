package restore

import (
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"time"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/internal/store"
)

// ErrNoDate: the user has no such date.
var ErrNoDate = errors.New("no such date")

// Date is a user's mail as of a run. It is for one goroutine.
type Date struct {
	Run index.Run

	user    string // what the archive calls him
	archive *archive.Archive
	index   *index.Index
	members *archive.Cache
	known   archive.Known
	last    archive.Member // that a byte was in: the next one is there, too, mostly
	buffer  []byte         // for bytes of messages on their way
	close   func()
	doubt   error // why the date may have had more than can be known
}

// latest is the newest date, as in the tree.
const latest = "latest"

// cacheBytes holds what neighbours in the archive share: a folder is read forward.
const cacheBytes = 8 << 20

// bufferBytes holds all but the largest messages, which are then read and written in one go.
const bufferBytes = 256 << 10

// Open opens a date of the mounted tree in UTC; "" is the newest. Where the store's index cannot be used, one is built for this time.
func Open(ctx context.Context, u store.User, date string) (d *Date, err error) {
	err = u.Read(func(path string) (err error) {
		d, err = open(ctx, u, path, date)
		return err
	})
	return d, err
}

func open(ctx context.Context, u store.User, path, date string) (*Date, error) {
	a, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	d := &Date{user: u.Name, archive: a, members: archive.NewCache(cacheBytes), buffer: make([]byte, bufferBytes)}
	made := false
	if d.index, made, d.close, err = index.OpenAny(ctx, a, u.Index()); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	d.known = d.index.Known()
	d.known.Member = d.member
	if made {
		err = d.doubtful()
	}
	if err == nil {
		err = d.find(cmp.Or(date, latest))
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// doubtful notes that the archive is damaged where no index knows what stood.
func (d *Date) doubtful() error {
	problems, err := d.index.Problems()
	if len(problems) > 0 {
		d.doubt = fmt.Errorf("%s: %w: %s, and there is no index that knows what stood there", d.archive.Path(), archive.ErrDamaged, problems[0].Text)
	}
	return err
}

// find finds the run of a date.
func (d *Date) find(date string) error {
	runs, err := d.index.Runs()
	if err != nil {
		return err
	}
	for i, r := range runs {
		if r.Date == date || date == latest && i == len(runs)-1 {
			d.Run = r
			return nil
		}
	}
	return fmt.Errorf("%s: %w", date, ErrNoDate)
}

// member is the one that holds a tar offset.
func (d *Date) member(tar int64) (m archive.Member, err error) {
	if d.last.Tar <= tar && tar < d.last.Tar+d.last.TarSize {
		return d.last, nil
	}
	if m, err = d.index.Member(tar); err == nil {
		d.last = m
	}
	return m, err
}

// Close releases all.
func (d *Date) Close() error {
	d.close()
	return d.archive.Close()
}

// Folder is a folder as of a date.
type Folder struct {
	index.Folder
	Index       *cyrus.Index
	Header      *cyrus.Header
	Annotations []byte // cyrus.annotations; nil if there was none
	metadata    []byte // cyrus.mailbox_annotations
	user        string // whose it is, as the archive calls him
}

// Folders are all that the date has, in the order of their paths.
func (d *Date) Folders() ([]index.Folder, error) { return d.index.Folders(d.Run.Run.Run) }

// Folder reads what a folder's own files say.
func (d *Date) Folder(ctx context.Context, f index.Folder) (*Folder, error) {
	files, err := d.metas(ctx, f.ID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Archived, err)
	}
	folder := &Folder{Folder: f, Annotations: files["cyrus.annotations"], metadata: files["cyrus.mailbox_annotations"], user: d.user}
	if folder.Index, err = cyrus.ParseIndex(files["cyrus.index"]); err != nil {
		return nil, fmt.Errorf("%s: cyrus.index: %w", f.Archived, err)
	}
	if folder.Header, err = cyrus.ParseHeader(files["cyrus.header"]); err != nil {
		return nil, fmt.Errorf("%s: cyrus.header: %w", f.Archived, err)
	}
	return folder, nil
}

// metas are a folder's own files, by name; those of the user if it is 0.
func (d *Date) metas(ctx context.Context, folder int64) (map[string][]byte, error) {
	metas, err := d.index.Metas(folder, d.Run.Run.Run)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, m := range metas {
		if m.Size > index.MaxMeta {
			return nil, fmt.Errorf("%s: %d bytes are too many to be read", m.Name, m.Size)
		}
		b := make([]byte, m.Size)
		if _, err := d.members.ReadAt(ctx, d.archive, d.known, b, m.Tar); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		files[m.Name] = b
	}
	return files, nil
}

// Message is a message of a folder.
type Message struct {
	Record cyrus.Record // GUID and Size are those of the bytes
	Flags  []string     // IMAP's; \Seen is the owner's, unknown before cyrus.index 12
	Body   io.ReaderAt  // of Record.Size bytes
	buffer []byte       // the Date's
}

// Date is the internal date.
func (m *Message) Date() time.Time {
	return time.Unix(m.Record.InternalDate, int64(m.Record.InternalNsec)).UTC()
}

// copyTo writes the message's bytes, and says whether they are what they should be.
func (m *Message) copyTo(w io.Writer) error {
	sum := sha1.New()
	if _, err := io.CopyBuffer(io.MultiWriter(w, sum), io.NewSectionReader(m.Body, 0, int64(m.Record.Size)), m.buffer); err != nil {
		return err
	}
	return m.check(cyrus.GUID(sum.Sum(nil)))
}

// pieces hands over the message's bytes piece by piece, the last one only if all are what they should be.
func (m *Message) pieces(to func([]byte) error) error {
	sum, body := sha1.New(), io.NewSectionReader(m.Body, 0, int64(m.Record.Size))
	for left := int64(m.Record.Size); ; {
		p := m.buffer[:min(int64(len(m.buffer)), left)]
		if _, err := io.ReadFull(body, p); err != nil {
			return err
		}
		sum.Write(p)
		if left -= int64(len(p)); left > 0 {
			if err := to(p); err != nil {
				return err
			}
			continue
		}
		if err := m.check(cyrus.GUID(sum.Sum(nil))); err != nil {
			return err
		}
		return to(p)
	}
}

// read fills p with the message's bytes, as many as there are, and says whether they are what they should be.
func (m *Message) read(p []byte) error {
	if _, err := io.ReadFull(io.NewSectionReader(m.Body, 0, int64(len(p))), p); err != nil {
		return err
	}
	return m.check(sha1.Sum(p))
}

func (m *Message) check(got cyrus.GUID) error {
	if got != m.Record.GUID {
		return fmt.Errorf("%w: its SHA-1 is %s instead of %s", archive.ErrDamaged, got, m.Record.GUID)
	}
	return nil
}
