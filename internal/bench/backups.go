package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// backups measures runs of backupd beside tar czf of the same spool, both with the spool in the page cache: what is
// compared is the work, not the disk.
func (b *bench) backups() error {
	var tars, firsts, agains []float64
	var peakFirst, peakAgain int64
	store, tarDir := b.store(), filepath.Join(b.dir, "tar")
	for range b.rounds {
		for _, dir := range []string{store, tarDir} {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		if err := os.Mkdir(tarDir, 0o700); err != nil {
			return err
		}
		took := 0.0
		for _, user := range b.spool.users {
			s, err := timed("tar", "czf", filepath.Join(tarDir, user+".tar.gz"), "-C", b.spool.userDir(user), ".")
			if err != nil {
				return err
			}
			took += s
		}
		tars = append(tars, took)
		first, err := withPeak(b.backupd, "backup", "--store", store, "--imapd-conf", b.spool.conf)
		if err != nil {
			return err
		}
		again, err := withPeak(b.backupd, "backup", "--store", store, "--imapd-conf", b.spool.conf)
		if err != nil {
			return err
		}
		firsts, agains = append(firsts, first.seconds), append(agains, again.seconds)
		peakFirst, peakAgain = max(peakFirst, first.peak), max(peakAgain, again.peak)
	}
	tarSize, err := size(tarDir, ".tar.gz")
	if err != nil {
		return err
	}
	archives, err := size(store, ".tar.gz")
	if err != nil {
		return err
	}
	indexes, err := size(store, ".sqlite3")
	if err != nil {
		return err
	}
	t, f, a := median(tars), median(firsts), median(agains)
	fmt.Fprintf(b.out, "| backup | seconds | MB/s | beside tar | peak memory MB | size MB |\n|---|---|---|---|---|---|\n")
	fmt.Fprintf(b.out, "| `tar czf`, per user (gzip -6) | %.2f | %.0f | 1 | | %.1f |\n", t, mb(b.spool.bytes)/t, mb(tarSize))
	fmt.Fprintf(b.out, "| first run | %.2f | %.0f | %.2f | %.0f | %.1f archives (%.3f of tar's), %.1f indexes |\n",
		f, mb(b.spool.bytes)/f, f/t, mb(peakFirst), mb(archives), float64(archives)/float64(tarSize), mb(indexes))
	fmt.Fprintf(b.out, "| a run with nothing changed | %.2f | | %.3f | %.0f | |\n\n", a, a/t, mb(peakAgain))
	return nil
}

func (b *bench) store() string { return filepath.Join(b.dir, "store") }

// size adds up the files below dir whose names end so.
func size(dir, suffix string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n += info.Size()
		return nil
	})
	return n, err
}
