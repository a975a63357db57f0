package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

// profiler writes profiles for `go tool pprof` into a folder: cpu.pprof, of what was done from begin to end, and heap.pprof, of what is
// held then. It is a folder and no socket: whoever reads there was let in by the file system.
type profiler struct {
	dir string
	cpu *os.File // nil while nothing is measured
}

// begin fails where the profiles could not be written.
func (p *profiler) begin() error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	cpu, err := os.OpenFile(filepath.Join(p.dir, "cpu.pprof"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return errors.Join(err, cpu.Close())
	}
	p.cpu = cpu
	return nil
}

// end writes what was measured, if anything is.
func (p *profiler) end() error {
	if p.cpu == nil {
		return nil
	}
	pprof.StopCPUProfile()
	cpu := p.cpu
	p.cpu = nil
	return errors.Join(cpu.Close(), writeHeap(filepath.Join(p.dir, "heap.pprof")))
}

// toggle ends what was begun, or else begins, and says so.
func (p *profiler) toggle() (did string, err error) {
	if p.cpu == nil {
		return "begun, until the next SIGUSR1", p.begin()
	}
	return "written to " + p.dir, p.end()
}

func writeHeap(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	runtime.GC() // what is held now, and not what was some time ago
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
