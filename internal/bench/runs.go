package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// single is a server with one user, who has a fifth of the messages: 6,000.
func (b *bench) single(dir string) (*spool, error) {
	return haveSpool(dir, 1, b.messages/5)
}

// runs measures what else backupd does, on a store of all users and on that of one.
func (b *bench) runs(store string, sp *spool) error {
	backupd := filepath.Join(b.bin, "backupd")
	one, err := b.single(filepath.Join(b.dir, "single"))
	if err != nil {
		return err
	}
	oneStore := filepath.Join(b.dir, "backups", "single")
	if _, err := timed(exec.Command(backupd, "backup", "-q", "--store", oneStore, "--imapd-conf", one.conf)); err != nil {
		return err
	}
	all, err := b.often(backupd, "backup", "-q", "--store", store, "--imapd-conf", sp.conf)
	if err != nil {
		return err
	}
	user, err := b.often(backupd, "backup", "-q", "--store", oneStore, "--imapd-conf", one.conf, one.users[0])
	if err != nil {
		return err
	}
	reindex, err := b.often(backupd, "reindex", "-q", "--store", store)
	if err != nil {
		return err
	}
	verify, err := b.often(backupd, "verify", "--store", store)
	if err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(store, "users", "*", "*", "*.tar.gz"))
	if err != nil {
		return err
	}
	zcat, err := b.often(append([]string{"zcat"}, archives...)...)
	if err != nil {
		return err
	}
	inflated, err := inflatedSize(archives)
	if err != nil {
		return err
	}
	t := table{{"backupd", "s", "", "at most"}}
	t.row("`backup`, nothing changed, all users", fmt.Sprintf("%.3f", all), "", "")
	t.row("`backup`, nothing changed, one user", fmt.Sprintf("%.3f", user), fmt.Sprintf("%d messages", one.messages), "0.005 s")
	speed := func(s float64) string {
		return fmt.Sprintf("%.0f MB/s, %.2f of `zcat`", mb(inflated)/s, s/zcat)
	}
	t.row("`reindex`, all users", fmt.Sprintf("%.3f", reindex), speed(reindex), "")
	t.row("`verify`, all users", fmt.Sprintf("%.3f", verify), speed(verify), "")
	t.row("`zcat` of all archives", fmt.Sprintf("%.3f", zcat), speed(zcat), "")
	fmt.Fprint(b.out, t)
	return nil
}

// often is the median of what a command takes.
func (b *bench) often(argv ...string) (float64, error) {
	var took []float64
	for range b.rounds {
		syscall.Sync()
		t, err := timed(exec.Command(argv[0], argv[1:]...))
		if err != nil {
			return 0, err
		}
		took = append(took, t)
	}
	return median(took), nil
}

// inflatedSize is that of the tars in archives.
func inflatedSize(archives []string) (n int64, err error) {
	cmd := exec.Command("zcat", archives...)
	cmd.Stdout, cmd.Stderr = (*counter)(&n), os.Stderr
	return n, cmd.Run()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
