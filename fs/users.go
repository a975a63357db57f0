package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"path/filepath"
	"sync"
	"time"

	"backupfs/internal/store"
)

const (
	// checkEvery is how often a user's archive is looked at, at most.
	checkEvery = 500 * time.Millisecond
	// rest is how long an archive stays open that nobody reads. What the kernel has in its cache it reads without asking, and a file that is
	// open it does not tell of; once another file took the place of an archive that was closed, neither can go on. So this is long,
	// although the space of a replaced archive is not free as long; maxOpen bounds how many there are.
	rest = time.Hour
)

// slot stands for a user and one archive file of theirs in node ids. When the user gets another file, by a compaction, the
// user gets another slot: nothing that the kernel keeps of the old one is taken for the new one's.
type slot struct {
	num     uint32
	folder  store.User
	archive string // base name

	// Guarded by users.mu.
	user    *user         // nil while it is closed
	behind  bool          // user is of files that have changed since: who can has them opened anew
	opening chan struct{} // closed when the one who opens it is done; nil if nobody does
	checked time.Time
	stamp   stamp
	changes uint32 // counts the stamps
	gone    bool   // the user has no archive any more
}

// users is the table of slots, and what is open of them.
type users struct {
	store *store.Store
	load  func(context.Context, *slot) (*user, error)

	mu      sync.Mutex // guards all below, and the slots; not held across I/O
	slots   []*slot
	current map[string]*slot // by user name: the slot of the archive that counts
	open    []*user
	tidied  time.Time
}

func newUsers(st *store.Store, load func(context.Context, *slot) (*user, error)) *users {
	return &users{store: st, load: load, current: map[string]*slot{}}
}

// lookup returns the slot of a user's archive, errNoEntry if there is no such user.
func (t *users) lookup(name string) (*slot, error) {
	t.mu.Lock()
	s := t.current[name]
	t.mu.Unlock()
	if s == nil {
		folder, err := t.store.User(name)
		if err != nil {
			return nil, errNoEntry
		}
		path, err := folder.Archive()
		if errors.Is(err, iofs.ErrNotExist) {
			return nil, errNoEntry
		}
		if err != nil {
			return nil, err
		}
		if s, err = t.add(folder, filepath.Base(path)); err != nil {
			return nil, err
		}
	}
	t.check(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	if s = t.current[name]; s.gone {
		return nil, errNoEntry
	}
	return s, nil
}

// add makes a slot the current one of its user, unless it is already.
func (t *users) add(folder store.User, archive string) (*slot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.current[folder.Name]; s != nil && s.archive == archive {
		return s, nil
	}
	if len(t.slots) == 1<<slotBits {
		return nil, errNoFit
	}
	s := &slot{num: uint32(len(t.slots)), folder: folder, archive: archive}
	t.slots = append(t.slots, s)
	t.current[folder.Name] = s
	return s, nil
}

// slot returns a slot by its number.
func (t *users) slot(num uint32) (*slot, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if int(num) >= len(t.slots) {
		return nil, errStale
	}
	return t.slots[num], nil
}

// check looks whether the files of a user changed, unless somebody did so a moment ago.
func (t *users) check(s *slot) {
	t.mu.Lock()
	now := time.Now()
	due := t.current[s.folder.Name] == s && now.Sub(s.checked) >= checkEvery
	if due {
		s.checked = now
	}
	t.mu.Unlock()
	if !due {
		return
	}
	replaced, err := t.replaced(s)
	if replaced {
		return
	}
	gone := errors.Is(err, iofs.ErrNotExist)
	st := stampOf(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	s.gone = gone
	if st != s.stamp {
		s.stamp = st
		s.changes++
		// It is not closed here: if another file takes the place of the archive before it is opened anew, nobody could open it any more.
		s.behind = s.user != nil
	}
}

// replaced looks whether another file took the place of a slot's, and gives the user a new slot then. Where none is left, the old archive goes
// on being shown.
func (t *users) replaced(s *slot) (bool, error) {
	path, err := s.folder.Archive()
	if err != nil || filepath.Base(path) == s.archive {
		return false, err
	}
	_, _ = t.add(s.folder, filepath.Base(path))
	return true, nil
}

// mtime is the mtime of a user's folder: that of the archive, so, when the last run was written. The nanoseconds count the changes that
// this mount has seen: the kernel keeps a listing as long as the mtime is the same, and two changes can fall into one tick of a
// file system's clock.
func (t *users) mtime(s *slot) (sec int64, nsec uint32) {
	t.check(s)
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.stamp.archive.mtime / 1e9, s.changes % 1e9
}

// opened returns a user who is open, or nil. It must be released.
func (t *users) opened(s *slot) *user {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.user != nil {
		s.user.refs++
	}
	return s.user
}

// acquire returns a user's open archive and index. It must be released.
func (t *users) acquire(ctx context.Context, num uint32) (*user, error) {
	s, err := t.slot(num)
	if err != nil {
		return nil, err
	}
	t.check(s)
	for {
		t.mu.Lock()
		replaced := t.isReplacedLocked(s)
		if s.user != nil && (replaced || !s.behind) {
			u := t.useLocked(s)
			t.mu.Unlock()
			return u, nil
		}
		if replaced {
			t.mu.Unlock()
			return nil, errStale // another file took its place, and this one was closed meanwhile
		}
		wait := s.opening
		if wait == nil {
			s.opening = make(chan struct{})
			t.mu.Unlock()
			return t.openSlot(ctx, s)
		}
		t.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// useLocked is one more who uses a user who is open.
func (t *users) useLocked(s *slot) *user {
	s.user.refs++
	s.user.used = time.Now()
	return s.user
}

// openSlot opens what a slot stands for; its caller has set s.opening.
func (t *users) openSlot(ctx context.Context, s *slot) (u *user, err error) {
	var idle []*user
	defer func() {
		t.mu.Lock()
		close(s.opening)
		s.opening = nil
		t.mu.Unlock()
		closeAll(idle)
	}()
	// The stamp is taken first: what is read then is at least as new.
	st := stampOf(s)
	if u, err = t.load(ctx, s); err != nil {
		if replaced, _ := t.replaced(s); !replaced || !errors.Is(err, iofs.ErrNotExist) {
			return nil, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if s.user != nil {
			return t.useLocked(s), nil
		}
		return nil, errStale // a moment ago
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if st != s.stamp {
		s.stamp = st
		s.changes++
	}
	idle = t.retireLocked(s)
	s.user = u
	t.useLocked(s)
	t.open = append(t.open, u)
	idle = append(idle, t.tidyLocked()...)
	return u, nil
}

// hold is one more release for a user who is held already.
func (t *users) hold(u *user) {
	t.mu.Lock()
	defer t.mu.Unlock()
	u.refs++
}

// release gives back what acquire returned.
func (t *users) release(u *user) {
	t.mu.Lock()
	var idle []*user
	if u.refs--; u.refs == 0 && u.retired {
		idle = append(idle, u)
	}
	if time.Since(t.tidied) > rest/4 {
		idle = append(idle, t.tidyLocked()...)
	}
	t.mu.Unlock()
	closeAll(idle)
}

// tidyLocked takes out those that rest, and while there are too many the next ones that would. Its caller closes them.
func (t *users) tidyLocked() (idle []*user) {
	t.tidied = time.Now()
	for {
		next := t.longestLocked(func(u *user) bool { return t.tidied.Sub(u.used) >= rest })
		if next == nil && len(t.open) > maxOpen {
			next = t.spareLocked()
		}
		if next == nil {
			return idle
		}
		idle = append(idle, t.retireLocked(next.slot)...)
	}
}

// spareLocked is who goes where there are too many, nil if all are in use. Replaced archives may take half of the room, so that they do not
// push out those that count: of these one can be replaced before whoever walks there comes back, too.
func (t *users) spareLocked() *user {
	var replaced int
	for _, u := range t.open {
		if t.isReplacedLocked(u.slot) {
			replaced++
		}
	}
	first := replaced > maxOpen/2
	if u := t.longestLocked(func(u *user) bool { return t.isReplacedLocked(u.slot) == first }); u != nil {
		return u
	}
	return t.longestLocked(func(*user) bool { return true })
}

// longestLocked is who of some has not been used for the longest time, and is not just now; nil if there is none.
func (t *users) longestLocked(of func(*user) bool) (longest *user) {
	for _, u := range t.open {
		if u.refs == 0 && of(u) && (longest == nil || u.used.Before(longest.used)) {
			longest = u
		}
	}
	return longest
}

func (t *users) isReplacedLocked(s *slot) bool { return t.current[s.folder.Name] != s }

// retireLocked takes out a slot's user, who is closed by the caller, or by the last who releases.
func (t *users) retireLocked(s *slot) (idle []*user) {
	u := s.user
	if u == nil {
		return nil
	}
	s.user, s.behind = nil, false
	u.retired = true
	for i, o := range t.open {
		if o == u {
			t.open = append(t.open[:i], t.open[i+1:]...)
			break
		}
	}
	if u.refs > 0 {
		return nil
	}
	return []*user{u}
}

// close closes all that is open.
func (t *users) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, u := range t.open {
		u.slot.user = nil
		errs = append(errs, u.close())
	}
	t.open = nil
	return errors.Join(errs...)
}

func closeAll(idle []*user) {
	for _, u := range idle {
		_ = u.close() // opened for reading: nothing is lost
	}
}
