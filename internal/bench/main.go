// Bench measures the two programs beside what a person would use instead, on a spool that it composes: tar czf for a
// backup, the spool itself for reading. It prints Markdown tables (docs/benchmarks.md) and asserts nothing.
//
// Only the ratios of one run mean something: the machine is the same for both sides. It drops the page cache, and so
// needs to be root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// bench is one run of the benchmark.
type bench struct {
	backupd, backupfs string
	dir               string // of everything that is made, gone at the end
	rounds            int
	spool             *spool
	out               io.Writer
}

func main() {
	log.SetFlags(0)
	bin := flag.String("bin", "bin", "folder with backupd and backupfs")
	messages := flag.Int("messages", 30000, "messages of the spool: 10 users, 5 folders each")
	rounds := flag.Int("n", 3, "measurements of each, of which the median is printed")
	tmp := flag.String("tmp", os.TempDir(), "where the spool and the store are made")
	flag.Parse()
	if err := run(*bin, *tmp, *messages, *rounds); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(bin, tmp string, messages, rounds int) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("must be root: it drops the page cache and mounts")
	}
	b := &bench{rounds: rounds, out: os.Stdout}
	if b.backupd, err = filepath.Abs(filepath.Join(bin, "backupd")); err != nil {
		return err
	}
	b.backupfs = filepath.Join(filepath.Dir(b.backupd), "backupfs")
	if b.dir, err = os.MkdirTemp(tmp, "bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.spool, err = composeSpool(filepath.Join(b.dir, "server"), messages); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%d messages, %.0f MB, %d users, %d folders; %d processors (%s); medians of %d.\n\n",
		b.spool.messages, mb(b.spool.bytes), len(b.spool.users), b.spool.folders, runtime.NumCPU(), model(), rounds)
	if err := b.backups(); err != nil {
		return err
	}
	return b.reading()
}

// model is the processor's name.
func model() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func mb(n int64) float64 { return float64(n) / 1e6 }
