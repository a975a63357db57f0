package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// keeper is a system in the table of backups.
type keeper struct {
	*system
	first, second []float64 // seconds of the first backup, and of that of the next day
	peak          int64     // of the first
	size, added   [2]int64  // of the backup, and of what is a cache of it
}

// backups measures the first backup of the spool and the one after a day of changes, with the spool in the page cache:
// what is compared is the work, not the disk. A round's second day is the first of the next.
func (b *bench) backups() error {
	dir := filepath.Join(b.dir, "backups")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	sp, err := b.spool.link(filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	var keepers []*keeper
	for _, s := range b.systems {
		if s.backup {
			keepers = append(keepers, &keeper{system: s})
		}
	}
	var came int
	for range b.rounds {
		for _, k := range keepers {
			if err := os.RemoveAll(filepath.Join(dir, k.name)); err != nil {
				return err
			}
			if err := b.create(k.system, filepath.Join(dir, k.name), sp); err != nil {
				return err
			}
		}
		for day := 1; day <= 2; day++ {
			if day == 2 {
				if came, err = sp.day(); err != nil {
					return err
				}
			}
			if _, err := timed(exec.Command("grep", "-rlF", nowhere, sp.root)); err != nil { // into the page cache
				return err
			}
			for _, k := range keepers {
				if err := b.keep(k, filepath.Join(dir, k.name), sp, day); err != nil {
					return err
				}
			}
		}
	}
	b.printBackups(keepers, sp, came)
	if err := b.runs(filepath.Join(dir, "backupfs", "store"), sp); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// keep takes the backup of a day.
func (b *bench) keep(k *keeper, repo string, sp *spool, day int) error {
	syscall.Sync() // what others wrote is not written now
	took, most, err := withPeak(b.shell(k.save, k.system, repo, sp, day))
	if err != nil {
		return err
	}
	all, err := size(repo, "")
	if err != nil {
		return err
	}
	var cache int64
	if k.cache != "" {
		if cache, err = size(repo, k.cache); err != nil {
			return err
		}
	}
	now := [2]int64{all - cache, cache}
	if day == 1 {
		k.first, k.peak, k.size = append(k.first, took), max(k.peak, most), now
		return nil
	}
	k.second, k.added = append(k.second, took), [2]int64{now[0] - k.size[0], now[1] - k.size[1]}
	return nil
}

func (b *bench) printBackups(keepers []*keeper, sp *spool, came int) {
	var tar, restic float64
	var tarSize int64
	for _, k := range keepers {
		switch k.name {
		case "tar czf":
			tar, tarSize = median(k.first), k.size[0]
		case "restic":
			restic = median(k.second)
		}
	}
	beside := func(v, other float64) string {
		if other == 0 {
			return ""
		}
		return fmt.Sprintf("%.3f", v/other)
	}
	t := table{{"backup", "day 1 s", "MB/s", "beside tar", "peak memory MB", "size MB", "beside tar",
		fmt.Sprintf("day 2 s (%d come, %d go)", came, came), "beside restic", "added MB"}}
	for _, k := range keepers {
		first, second := median(k.first), median(k.second)
		t.row(k.name, fmt.Sprintf("%.2f", first), fmt.Sprintf("%.0f", mb(sp.bytes)/first), beside(first, tar),
			orNone("%.0f", mb(k.peak)), sizes(k.size, "%.1f"), beside(float64(k.size[0]), float64(tarSize)),
			fmt.Sprintf("%.2f", second), beside(second, restic), sizes(k.added, "%.2f"))
	}
	fmt.Fprint(b.out, t)
}

// sizes shows the size of a backup, and of what is its cache.
func sizes(n [2]int64, format string) string {
	s := fmt.Sprintf(format, mb(n[0]))
	if n[1] != 0 {
		s += fmt.Sprintf(" + "+format+" index", mb(n[1]))
	}
	return s
}

// size adds up the files below dir whose names end so.
func size(dir, suffix string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n += info.Size()
		return nil
	})
	return n, err
}
