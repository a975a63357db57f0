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
	"backupfs/internal/store"
)

// user is a user's archive and index, open for reading.
type user struct {
	slot    *slot
	archive *archive.Archive
	index   *index.Index // nil if there is no complete run
	known   archive.Known
	runs    []index.Run // oldest first, named for the mount's time zone
	dates   map[string]int
	// hints are members that were read lately, by where they begin: 64 cover 16 MiB of tar, with as many readers in it as may be.
	hints [64]atomic.Pointer[archive.Member]
	// unlisted is the place of the file that was read last of those in no listing.
	unlisted atomic.Int64

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
			_ = u.close() // the error that led here counts
		}
	}()
	if u.index, err = f.openIndex(ctx, s, a); err != nil || u.index == nil {
		return u, err
	}
	u.known = u.index.Known()
	u.known.Member = u.member
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
		f.logOnce(fmt.Sprintf("user %s: the newest %d of %d runs are not shown: %v", store.Escape(s.folder.Name), len(runs)-n, len(runs), errNoFit))
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
	// A member of ours is at most MemberSize long: it begins in this stretch of that length, or in the one before.
	stretch := tar / archive.MemberSize
	for _, at := range []int64{stretch, max(stretch-1, 0)} {
		if m := u.hint(at).Load(); m != nil && m.Tar <= tar && tar < m.Tar+m.TarSize {
			return *m, nil
		}
	}
	m, err := u.index.Member(tar)
	if err == nil {
		u.hint(m.Tar / archive.MemberSize).Store(&m)
	}
	return m, err
}

func (u *user) hint(stretch int64) *atomic.Pointer[archive.Member] {
	return &u.hints[stretch%int64(len(u.hints))]
}
