// Bench measures the two programs beside what a person would use instead, on a spool that it composes: the spool itself
// and the mounts of other backups for reading, those backups for backups. It prints Markdown tables, each under a line
// that only it makes (table.go), and fails if docs/benchmarks.md has a table without one. Of the figures it asserts nothing.
//
// Only the ratios of one run mean something: the machine is the same for all. It drops the page cache and mounts, and
// so needs to be root.
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
	"slices"
	"strings"

	"backupfs/internal/bench/floor"
)

// bench is one run of the benchmark.
type bench struct {
	options
	spool   *spool
	systems []*system
	out     io.Writer
}

type options struct {
	bin, dir, docs string
	messages       int
	behind         int // users behind the agent
	rounds         int
	only, do       []string // empty: all
	million        bool
}

// parts are what a run does, in this order.
var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"backups", (*bench).backups},
	{"reading", (*bench).reading},
	{"scale", (*bench).scale},
	{"agent", (*bench).agent},
	{"serve", (*bench).serve},
	{"codecs", (*bench).codecs},
	{"restore", (*bench).restore},
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder with backupd and backupfs")
	flag.IntVar(&o.messages, "messages", 30000, "messages of the spool: 10 users, 5 folders each")
	flag.IntVar(&o.behind, "behind", 1000, "users behind the agent, and of serve, of 20 folders each")
	flag.IntVar(&o.rounds, "n", 5, "measurements of each, of which the median is printed")
	flag.StringVar(&o.dir, "dir", "", "work in this folder and keep it; the spool and the backups that it has are read")
	flag.StringVar(&o.docs, "docs", "docs/benchmarks.md", "file in which each table must be of this program")
	flag.BoolVar(&o.million, "million", false, "walk a million files, too")
	tmp := flag.String("tmp", os.TempDir(), "where everything is made, and removed at the end, if there is no -dir")
	only := flag.String("only", "", "systems, with commas; spool, backupfs and floor are always among them (default all)")
	do := flag.String("do", "", "parts, with commas: backups, reading, scale, agent, serve, codecs, restore (default all)")
	flag.Parse()
	if flag.Arg(0) == "floor" { // as systems.go has it run
		if err := floor.Serve(flag.Arg(1), flag.Arg(2)); err != nil {
			log.Fatal("floor: ", err)
		}
		return
	}
	o.only, o.do = split(*only), split(*do)
	if err := run(o, *tmp); err != nil {
		log.Fatal("bench: ", err)
	}
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func run(o options, tmp string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("must be root: it drops the page cache and mounts")
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	if o.dir != "" {
		if o.dir, err = filepath.Abs(o.dir); err != nil {
			return err
		}
		err = os.MkdirAll(o.dir, 0o700)
	} else {
		o.dir, err = os.MkdirTemp(tmp, "bench-")
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	if err != nil {
		return err
	}
	b := &bench{options: o, systems: chosen(o.only), out: os.Stdout}
	if b.spool, err = haveSpool(filepath.Join(b.dir, "server"), users, b.messages); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%d messages, %.0f MB, %d users, %d folders; %d processors (%s); medians of %d.\n\n",
		b.spool.messages, mb(b.spool.bytes), len(b.spool.users), len(b.spool.boxes), runtime.NumCPU(), model(), b.rounds)
	for _, p := range parts {
		if len(b.do) > 0 && !slices.Contains(b.do, p.name) {
			continue
		}
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return checkDocs(b.docs)
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
