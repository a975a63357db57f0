package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// figure is one of a task on a system: what each round gave.
type figure struct {
	values []float64
	over   time.Duration // it took longer than this
}

// text shows the median, beside that of the spool.
func (f *figure) text(spool *figure) string {
	switch {
	case f.over > 0:
		return fmt.Sprintf("> %.0f", f.over.Seconds())
	case len(f.values) == 0:
		return "–"
	case f == spool || len(spool.values) == 0:
		return fmt.Sprintf("%.3f", median(f.values))
	}
	return fmt.Sprintf("%.3f (%.2f)", median(f.values), median(f.values)/median(spool.values))
}

// reader is a system in the matrix of reading.
type reader struct {
	*system
	figures [2]figure // of the task that is being measured
	spent   time.Duration
	ready   []float64
	peak    int64
	failed  bool // a peer that cannot be read is left out
}

// reading measures the tasks on all systems, round by round, so that what disturbs a round disturbs all of them.
func (b *bench) reading() error {
	var readers []*reader
	head := []string{"reading", "", "at most"}
	for _, s := range b.systems {
		if s.mount == "" && s.name != "spool" {
			continue
		}
		r := &reader{system: s}
		if err := r.note(b.prepare(s)); err != nil {
			return err
		}
		readers = append(readers, r)
		head = append(head, s.name)
	}
	t := table{head}
	for _, task := range tasks {
		for _, r := range readers {
			r.figures, r.spent = [2]figure{}, 0
		}
		for range b.rounds {
			for _, r := range readers {
				if err := r.note(b.round(task, r)); err != nil {
					return err
				}
			}
		}
		for i := range task.figures {
			cells := []string{task.name, task.figures[i] + ", " + task.unit, task.goals[i]}
			for _, r := range readers {
				cells = append(cells, r.figures[i].text(&readers[0].figures[i]))
			}
			t.row(cells...)
		}
	}
	ready, memory := []string{"mount answers, cold", "s", ""}, []string{"peak memory", "MB", "64"}
	for _, r := range readers {
		ready = append(ready, (&figure{values: r.ready}).text(&figure{}))
		memory = append(memory, orNone("%.0f", mb(r.peak)))
	}
	t.row(ready...)
	t.row(memory...)
	fmt.Fprint(b.out, t)
	return nil
}

// note takes down that a peer failed; that another did is an error.
func (r *reader) note(err error) error {
	if err == nil || r.always {
		return err
	}
	r.failed = true
	fmt.Fprintf(os.Stderr, "bench: %s: %v\n", r.name, err)
	return nil
}

// round measures a task once on a system, unless that was slow before.
func (b *bench) round(t task, r *reader) (err error) {
	if r.failed || r.spent > b.limit()/2 {
		return nil
	}
	begun := time.Now()
	defer func() { r.spent += time.Since(begun) }()
	if err := dropCaches(); err != nil {
		return err
	}
	m, err := b.mount(r.system, b.repo(r.system))
	if err != nil {
		return err
	}
	defer func() {
		if !r.inMemory {
			r.peak = max(r.peak, m.peak())
		}
		err = errors.Join(err, m.unmount())
	}()
	if m.cmd != nil && !r.inMemory {
		r.ready = append(r.ready, m.ready)
	}
	values, err := t.run(b, b.trees(r.system))
	for i, v := range values {
		r.figures[i].values = append(r.figures[i].values, v)
	}
	if errors.Is(err, errSlow) {
		r.figures[len(values)].over = b.limit()
		return nil
	}
	return err
}

// trees are where each user's INBOX is in a mounted system.
func (b *bench) trees(s *system) (dirs []string) {
	for _, user := range b.spool.users {
		dir := b.spool.userDir(user)
		switch {
		case strings.Contains(s.tree, "%s"):
			dir = filepath.Join(b.mountPoint(s), fmt.Sprintf(s.tree, user))
		case s.mount != "":
			dir = filepath.Join(b.mountPoint(s), s.tree, strings.TrimPrefix(dir, b.spool.root))
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// orNone formats a figure, and is empty for one that was not to be had.
func orNone(format string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf(format, v)
}
