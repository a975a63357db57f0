package fs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"sync/atomic"
	"time"

	"backupfs/archive"
	"backupfs/index"
)

// user is a user's archive and index, open for reading.
type user struct {
	slot    *slot
	archive *archive.Archive
	index   *index.Index // nil if there is no complete run
	runs    []index.Run  // oldest first, named for the mount's time zone
	dates   map[string]int
	hints   [64]atomic.Pointer[archive.Member]

	// Guarded by users.mu.
	refs    int
	used    time.Time
	retired bool
}

// open opens a slot's archive and index.
func (f *FS) open(ctx context.Context, s *slot) (u *user, err error) {
	a, err := archive.Open(filepath.Join(s.folder.Dir, s.archive))
	if err != nil {
		return nil, err
	}
	u = &user{slot: s, archive: a, dates: map[string]int{}}
	defer func() {
		if err != nil {
			u.close()
		}
	}()
	if u.index, err = f.openIndex(ctx, s, a); err != nil || u.index == nil {
		return u, err
	}
	runs, err := u.index.Runs()
	if err != nil {
		return u, err
	}
	plain := make([]archive.Run, len(runs))
	for i, r := range runs {
		plain[i] = r.Run
	}
	for i, name := range index.DateNames(plain, f.opts.Location) {
		runs[i].Date = name
	}
	if n := sort.Search(len(runs), func(i int) bool { return runs[i].Run.Run >= 1<<runBits }); n < len(runs) {
		f.logOnce(fmt.Sprintf("user %s: the newest %d of %d runs are not shown: %v", s.folder.Name, len(runs)-n, len(runs), errNoFit))
		runs = runs[:n]
	}
	u.runs = runs
	for i, r := range runs {
		u.dates[r.Date] = i
	}
	return u, nil
}

func (u *user) close() error {
	var err error
	if u.index != nil {
		err = u.index.Close()
	}
	return errors.Join(err, u.archive.Close())
}

// run returns a run by its number.
func (u *user) run(number int) (index.Run, error) {
	i := sort.Search(len(u.runs), func(i int) bool { return u.runs[i].Run.Run >= number })
	if i == len(u.runs) || u.runs[i].Run.Run != number {
		return index.Run{}, fmt.Errorf("run %d: %w", number, errStale)
	}
	return u.runs[i], nil
}

// member returns the member that holds a tar offset. Reading goes forward, so the index is asked once for many reads.
func (u *user) member(tar int64) (archive.Member, error) {
	hint := &u.hints[uint64(tar)/(archive.MemberSize/4)%uint64(len(u.hints))]
	if m := hint.Load(); m != nil && m.Tar <= tar && tar < m.Tar+m.TarSize {
		return *m, nil
	}
	m, err := u.index.Member(tar)
	if err == nil {
		hint.Store(&m)
	}
	return m, err
}
