package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"backupfs/internal/store"
)

const (
	dates       = 14
	manyUsers   = 10000
	manyPerUser = 100 // messages: a million in all
)

// scale measures what should not grow with the store: many dates, many users, many files.
func (b *bench) scale() error {
	t := table{{"scale", "", "at most"}}
	for _, part := range []func(*table) error{b.dates, b.manyUsers} {
		if err := part(&t); err != nil {
			return err
		}
	}
	fmt.Fprint(b.out, t)
	return nil
}

// ours is the row of backupfs in the table of systems.
func ours() *system { return &systems[1] }

// onMount does something on a fresh mount of a repository of ours, nothing in the page cache if it is to be cold.
func (b *bench) onMount(repo string, cold bool, do func(m *mounted) (float64, error)) (took float64, err error) {
	if cold {
		if err := dropCaches(); err != nil {
			return 0, err
		}
	}
	m, err := b.mount(ours(), repo)
	if err != nil {
		return 0, err
	}
	took, err = do(m)
	return took, errors.Join(err, m.unmount())
}

// onMounts is the median of that.
func (b *bench) onMounts(repo string, cold bool, do func(m *mounted) (float64, error)) (float64, error) {
	var took []float64
	for range b.rounds {
		v, err := b.onMount(repo, cold, do)
		if err != nil {
			return 0, err
		}
		took = append(took, v)
	}
	return median(took), nil
}

// dates reads one date and all dates of a user.
func (b *bench) dates(t *table) error {
	sp, repo, err := b.datesStore()
	if err != nil {
		return err
	}
	user := filepath.Join(b.mountPoint(ours()), sp.users[0])
	grep := func(path string) (float64, error) {
		return b.onMounts(repo, true, func(*mounted) (float64, error) {
			return timed(exec.Command("grep", "-rlF", nowhere, path))
		})
	}
	one, err := grep(filepath.Join(user, "latest", "INBOX"))
	if err != nil {
		return err
	}
	all, err := grep(user)
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("`grep -r`, cold, one date of a user of %d messages", sp.messages), fmt.Sprintf("%.3f s", one), "")
	t.row(fmt.Sprintf("all his %d dates", dates), fmt.Sprintf("%.3f s, %.2f of one", all, all/one), "1.3 of one")
	return nil
}

// datesStore makes a store of a user who was backed up each day, a hundredth of his messages going and coming, and
// returns the spool of the last day.
func (b *bench) datesStore() (*spool, string, error) {
	repo := filepath.Join(b.dir, "dates")
	done := repo + ".done"
	_, err := os.Stat(done)
	made := err == nil
	one, err := b.single(filepath.Join(b.dir, "single"))
	if err != nil || made {
		return one, repo, err
	}
	if err := os.RemoveAll(repo); err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(repo, 0o700); err != nil {
		return nil, "", err
	}
	sp, err := one.link(filepath.Join(repo, "server"))
	if err != nil {
		return nil, "", err
	}
	for day := range dates {
		if day > 0 {
			if _, err := sp.day(); err != nil {
				return nil, "", err
			}
		}
		at := time.Date(2026, 3, 1+day, 2, 0, 0, 0, time.UTC).Format(time.RFC3339)
		if _, err := timed(exec.Command(filepath.Join(b.bin, "backupd"), "backup", "-q", "--at", at,
			"--store", filepath.Join(repo, "store"), "--imapd-conf", sp.conf)); err != nil {
			return nil, "", err
		}
	}
	_, err = b.onMount(repo, false, func(m *mounted) (float64, error) {
		names, err := os.ReadDir(filepath.Join(m.point, sp.users[0]))
		if err == nil && len(names) != dates+1 { // and latest
			err = fmt.Errorf("%d dates, not %d: %v", len(names)-1, dates, names)
		}
		return 0, err
	})
	if err != nil {
		return nil, "", err
	}
	return sp, repo, os.WriteFile(done, nil, 0o600)
}

// manyUsers mounts the store of a few users and one of many, and walks a million files if that was asked for.
func (b *bench) manyUsers(t *table) error {
	few, many := b.repo(ours()), filepath.Join(b.dir, "many")
	if err := b.prepare(ours()); err != nil {
		return err
	}
	if err := b.manyStore(many); err != nil {
		return err
	}
	ready := func(m *mounted) (float64, error) { return m.ready, nil }
	for _, how := range []struct {
		name string
		cold bool
		goal [2]string
	}{{"page cache warm", false, [2]string{"25 ms", "100 ms"}}, {"page cache cold", true, [2]string{}}} {
		for i, repo := range []string{few, many} {
			s, err := b.onMounts(repo, how.cold, ready)
			if err != nil {
				return err
			}
			t.row(fmt.Sprintf("mount answers, %d users, %s", []int{users, manyUsers}[i], how.name), fmt.Sprintf("%.0f ms", s*1000), how.goal[i])
		}
	}
	s, err := b.onMounts(many, false, func(m *mounted) (float64, error) {
		return timed(exec.Command("ls", "-f", m.point))
	})
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("`ls -f` of %d users", manyUsers), fmt.Sprintf("%.0f ms", s*1000), "")
	if !b.million {
		return nil
	}
	var most int64
	s, err = b.onMount(many, false, func(m *mounted) (float64, error) {
		s, err := timed(exec.Command("find", m.point, "-printf", "%s %T@ %p\n"))
		if err != nil {
			return 0, err
		}
		_, err = timed(exec.Command("sh", "-c", `cat "$0"/*7/latest/INBOX/1.`, m.point)) // a thousand members inflated
		most = m.peak()
		return s, err
	})
	if err != nil {
		return err
	}
	t.row(fmt.Sprintf("`find -printf` of %d messages", manyUsers*manyPerUser), fmt.Sprintf("%.1f s", s), "")
	t.row("peak memory after that, and a message of each tenth user", fmt.Sprintf("%.0f MB", mb(most)), "80 MB")
	return nil
}

// manyStore makes a store of many users who have the same archive: links to that of one.
func (b *bench) manyStore(repo string) error {
	done := repo + ".done"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(repo); err != nil {
		return err
	}
	sp, err := haveSpool(filepath.Join(repo, "server"), 1, manyPerUser)
	if err != nil {
		return err
	}
	root := filepath.Join(repo, "store")
	if _, err := timed(exec.Command(filepath.Join(b.bin, "backupd"), "backup", "-q", "--store", root, "--imapd-conf", sp.conf)); err != nil {
		return err
	}
	st, err := store.Open(root)
	if err != nil {
		return err
	}
	first, err := st.User(sp.users[0])
	if err != nil {
		return err
	}
	archive, err := first.Archive()
	if err != nil {
		return err
	}
	for i := 1; i < manyUsers; i++ {
		u, err := st.User(fmt.Sprintf("user-%05d", i))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(u.Dir, 0o700); err != nil {
			return err
		}
		for _, path := range []string{archive, first.Index()} {
			if err := os.Link(path, filepath.Join(u.Dir, filepath.Base(path))); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return os.WriteFile(done, nil, 0o600)
}
