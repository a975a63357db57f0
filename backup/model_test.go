package backup

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/index"
	"backupfs/internal/store"
	"backupfs/source"
)

// model is a server, the store that it is backed up into, and what each run has to show.
type model struct {
	server   *fakeServer
	st       *store.Store
	days     int
	dates    []dateView
	progress func(Progress)
	views    map[string]boxView        // by folder id, as of the last run
	told     map[string]map[uint32]odd // problems known by the last run, by folder id
}

// dateView is what a run has to show.
type dateView struct {
	run     archive.Run
	folders map[string]boxView // by name
	files   map[string][]byte
}

// odd is how a message differs from the server's index.
type odd struct {
	missing bool
	guid    cyrus.GUID
}

func newModel(t rapid.TB, root string) *model {
	st, err := store.Init(root)
	if err != nil {
		t.Fatal(err)
	}
	return &model{server: newFakeServer(), st: st, views: map[string]boxView{}, told: map[string]map[uint32]odd{}}
}

func (m *model) user(t rapid.TB) store.User {
	t.Helper()
	u, err := m.st.User("brong")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// try makes a run, and does not take it for granted.
func (m *model) try(ctx context.Context) (*Result, error) {
	m.server.reset()
	at := time.Date(2009, 9, 27+m.days, 12, 0, 0, 0, time.UTC)
	return User(ctx, m.st, m.server, "brong", Options{At: at, Progress: m.progress, Append: archive.AppendOptions{Workers: 1}})
}

// run makes a run that has to succeed, and notes what it has to show.
func (m *model) run(t rapid.TB) *Result {
	t.Helper()
	due := make(map[string]bool) // folders that must be looked at, and no others
	for _, b := range m.server.boxes {
		old, ok := m.views[b.id]
		due[b.id] = !ok || b.fingerprint() == "" || b.fingerprint() != old.fingerprint || slices.ContainsFunc(old.msgs, fakeMsg.retried)
	}
	res, err := m.try(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if res.Index != nil {
		t.Fatal(res.Index)
	}
	m.note(t, res, due)
	return res
}

// note adds a run to what has to be shown, and checks what it told.
func (m *model) note(t rapid.TB, res *Result, due map[string]bool) {
	t.Helper()
	var problems, skipped []string
	for _, name := range slices.Sorted(maps.Keys(m.server.listed)) {
		id := m.server.listed[name]
		v, fetched := m.server.fetched[id]
		switch {
		case fetched:
			problems = append(problems, m.newProblems(id, name, v)...)
		case due[id]:
			skipped = append(skipped, name)
			problems = append(problems, name)
		}
		if fetched != due[id] && !m.server.byName(name).busy {
			t.Errorf("%s: fetched %t, due %t", name, fetched, due[id])
		}
	}
	for name := range m.kept() {
		skipped = append(skipped, name)
		problems = append(problems, name)
	}
	if _, ok := m.server.files["seen"]; ok && m.server.noSeen {
		problems = append(problems, "seen")
	}
	for _, v := range m.server.fetched {
		if v.unknown { // told once
			problems = append(problems, "")
			break
		}
	}
	slices.Sort(skipped)
	var got []string
	for _, p := range res.Problems {
		got = append(got, problemKey(p.Folder, p.UID))
	}
	slices.Sort(got)
	slices.Sort(problems)
	if !slices.Equal(got, problems) {
		t.Errorf("run %d: problems %v, want %v", res.Run.Run, res.Problems, problems)
	}
	if !slices.Equal(res.Run.Skipped, skipped) {
		t.Errorf("run %d: skipped %q, want %q", res.Run.Run, res.Run.Skipped, skipped)
	}
	if err := m.date(res.Run).checkTotals(); err != nil {
		t.Error(err)
	}
}

// last is what the last run has to show.
func (m *model) last() dateView {
	if len(m.dates) == 0 {
		return dateView{}
	}
	return m.dates[len(m.dates)-1]
}

// kept are the folders, by name, that no list has and that stay as they were.
func (m *model) kept() map[string]boxView {
	kept := make(map[string]boxView)
	for name, v := range m.last().folders {
		if _, listed := m.server.listed[name]; !listed && m.server.stays(v.id) {
			kept[name] = v
		}
	}
	return kept
}

// date adds a run to what has to be shown.
func (m *model) date(run archive.Run) dateView {
	d := dateView{run: run, folders: m.kept(), files: maps.Clone(m.server.files)}
	if _, ok := d.files["seen"]; ok && m.server.noSeen {
		delete(d.files, "seen")
		if before, ok := m.last().files["seen"]; ok {
			d.files["seen"] = before
		}
	}
	for name, id := range m.server.listed {
		if v, ok := m.server.fetched[id]; ok {
			if v.unknown { // it stays as it was
				delete(v.files, metadataFile)
				if before, ok := m.views[id].files[metadataFile]; ok {
					v.files[metadataFile] = before
				}
			}
			m.views[id] = v
			m.newProblems(id, name, v)
		}
		if v, ok := m.views[id]; ok {
			d.folders[name] = v
		}
	}
	m.dates = append(m.dates, d)
	m.days++
	return d
}

func problemKey(folder string, uid uint32) string {
	if uid == 0 {
		return folder
	}
	return fmt.Sprintf("%s:%d", folder, uid)
}

// newProblems are those of a folder that no run told of before.
func (m *model) newProblems(id, name string, v boxView) (list []string) {
	told := make(map[uint32]odd)
	for _, msg := range v.msgs {
		o, is := msg.odd()
		if !is {
			continue
		}
		told[msg.rec.UID] = o
		if before, ok := m.told[id][msg.rec.UID]; ok && before == o || o.missing && msg.rec.Expunged() {
			continue
		}
		list = append(list, problemKey(name, msg.rec.UID))
	}
	m.told[id] = told
	return list
}

// odd tells how the file differs from the record.
func (m fakeMsg) odd() (odd, bool) {
	if m.rec.Unlinked() {
		return odd{}, false
	}
	if m.body == nil {
		return odd{missing: true}, m.kept == nil
	}
	guid := cyrus.GUID(sha1.Sum(m.body))
	return odd{guid: guid}, uint64(len(m.body)) != m.rec.Size || !m.rec.GUID.IsZero() && m.rec.GUID != guid
}

// retried says that the next run looks at the message again, though its folder may be the same.
func (m fakeMsg) retried() bool {
	o, is := m.odd()
	return is && !(o.missing && m.rec.Expunged())
}

func (d dateView) checkTotals() error {
	messages, bytes := 0, int64(0)
	for _, v := range d.folders {
		for _, m := range v.msgs {
			if !m.rec.Unlinked() && !m.rec.Expunged() {
				messages++
				bytes += int64(m.rec.Size)
			}
		}
	}
	if r := d.run; r.Folders != len(d.folders) || r.Messages != messages || r.Bytes != bytes {
		return fmt.Errorf("run %d says %d folders, %d messages, %d bytes; want %d, %d, %d", r.Run, r.Folders, r.Messages, r.Bytes, len(d.folders), messages, bytes)
	}
	return nil
}

// check compares every date with what it has to show, byte by byte, and verifies the archive.
func (m *model) check(t rapid.TB) {
	t.Helper()
	if err := m.compare(m.user(t).Index()); err != nil {
		t.Error(err)
	}
	report, err := Verify(context.Background(), m.user(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Err(); err != nil || len(report.Archive) > 0 || report.Runs != len(m.dates) {
		t.Errorf("verify: %v: %+v", err, report)
	}
	var missing []string
	for _, f := range report.Missing {
		for _, date := range f.Dates {
			missing = append(missing, fmt.Sprint(date, " ", f.UID))
		}
	}
	if want := m.missing(); !slices.Equal(slices.Sorted(slices.Values(missing)), want) {
		t.Errorf("verify: missing %q, want %q", missing, want)
	}
}

// missing lists the messages that nobody has the bytes of, by date and UID.
func (m *model) missing() (list []string) {
	for _, d := range m.dates {
		date := d.run.Begun.Format(time.DateOnly)
		for _, v := range d.folders {
			for _, msg := range v.msgs {
				if o, ok := msg.odd(); ok && o.missing {
					list = append(list, fmt.Sprint(date, " ", msg.rec.UID))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// compare compares an index of the archive with the model.
func (m *model) compare(indexPath string) error {
	ix, err := index.OpenRead(indexPath)
	if err != nil {
		return err
	}
	defer ix.Close()
	u, err := m.st.User("brong")
	if err != nil {
		return err
	}
	path, err := u.Archive()
	if err != nil {
		return err
	}
	a, err := archive.Open(path)
	if err != nil {
		return err
	}
	defer a.Close()
	c := comparison{ix: ix, arch: a, cache: archive.NewCache(8 << 20)}
	runs, err := ix.Runs()
	if err != nil {
		return err
	}
	if len(runs) != len(m.dates) {
		return fmt.Errorf("%s has %d runs, want %d", filepath.Base(path), len(runs), len(m.dates))
	}
	for i, d := range m.dates {
		if !reflect.DeepEqual(runs[i].Marker, d.run.Marker) {
			return fmt.Errorf("run %d is %+v, want %+v", d.run.Run, runs[i].Marker, d.run.Marker)
		}
		if err := c.date(d.run.Run, d); err != nil {
			return fmt.Errorf("run %d: %w", d.run.Run, err)
		}
	}
	return nil
}

type comparison struct {
	ix    *index.Index
	arch  *archive.Archive
	cache *archive.Cache
}

func (c comparison) date(run int, d dateView) error {
	folders, err := c.ix.Folders(run)
	if err != nil {
		return err
	}
	if len(folders) != len(d.folders) {
		return fmt.Errorf("folders %v, want %v", folders, slices.Sorted(maps.Keys(d.folders)))
	}
	for _, f := range folders {
		v, ok := d.folders[f.Archived]
		if !ok {
			return fmt.Errorf("folder %s is too many", f.Archived)
		}
		if err := errors.Join(c.metas(f.ID, run, v.files), c.messages(f.ID, run, v.msgs)); err != nil {
			return fmt.Errorf("%s: %w", f.Archived, err)
		}
	}
	return c.metas(0, run, d.files)
}

func (c comparison) metas(folder int64, run int, want map[string][]byte) error {
	metas, err := c.ix.Metas(folder, run)
	if err != nil {
		return err
	}
	n := 0
	for _, m := range metas {
		if m.Name == "cyrus.backupfs" {
			continue
		}
		n++
		if err := c.content(m.Tar, want[m.Name]); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if n != len(want) {
		return fmt.Errorf("meta files %v, want %v", metas, slices.Sorted(maps.Keys(want)))
	}
	return nil
}

func (c comparison) messages(folder int64, run int, want []fakeMsg) error {
	for msg, err := range c.ix.Messages(folder, run) {
		if err != nil {
			return err
		}
		for len(want) > 0 && want[0].rec.Unlinked() {
			want = want[1:]
		}
		if len(want) == 0 {
			return fmt.Errorf("message %d is too many", msg.UID)
		}
		w := want[0]
		want = want[1:]
		if msg.UID != w.rec.UID || msg.InternalDate != w.rec.InternalDate || msg.Expunged != w.rec.Expunged() {
			return fmt.Errorf("message %+v, want %+v", msg, w.rec)
		}
		if w.bytes() == nil {
			if msg.Tar >= 0 {
				return fmt.Errorf("message %d has bytes, and the server had none", msg.UID)
			}
			continue
		}
		if err := c.content(msg.Tar, w.bytes()); err != nil {
			return fmt.Errorf("message %d: %w", msg.UID, err)
		}
	}
	for _, w := range want {
		if !w.rec.Unlinked() {
			return fmt.Errorf("message %d is missing", w.rec.UID)
		}
	}
	return nil
}

func (c comparison) content(tar int64, want []byte) error {
	if tar < 0 {
		return errors.New("its bytes are missing")
	}
	got := make([]byte, len(want))
	if _, err := c.cache.ReadAt(context.Background(), c.arch, c.ix.Known(), got, tar); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes are %.60q, want %.60q", len(want), got, want)
	}
	return nil
}

var _ source.Source = (*fakeServer)(nil)
