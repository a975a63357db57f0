package archive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"backupfs/internal/durable"
)

// withoutSyncs makes tests fast that no power loss will end.
func withoutSyncs(t *testing.T) {
	t.Helper()
	t.Cleanup(durable.InjectFault(skipSyncs))
}

// Cut anywhere, an archive keeps its complete runs, and goes on behind them; the rest lies in the torn file.
func TestTruncated(t *testing.T) {
	withoutSyncs(t)
	whole := []byte(mustReadFile(t, frozen))
	model := frozenModel()
	var ends []Position // of the runs
	a := mustOpen(t, frozen)
	runs, _, _, err := scanned(a, ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range a.Members(Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Marker || m.Foreign {
			ends = append(ends, m.End())
		}
	}
	dir := t.TempDir()
	for cut := range len(whole) + 1 {
		complete := 0
		for complete < len(ends) && ends[complete].File <= int64(cut) {
			complete++
		}
		end := Position{}
		if complete > 0 {
			end = ends[complete-1]
		}
		path := filepath.Join(dir, fmt.Sprintf("backupdata-%d.tar.gz", cut))
		mustWriteFile(t, path, whole[:cut])
		if got, err := completeEnd(path); err != nil || got != end {
			t.Fatalf("cut at %d: complete up to %v, %v, want %v", cut, got, err, end)
		}
		hints := []Position{{}, end, ends[0], ends[len(ends)-1], {int64(cut), 512}}
		hint := Hint{Position: hints[cut%len(hints)]}
		ap, rec, err := OpenAppend(path, hint, AppendOptions{Workers: 1})
		if hint.File > end.File && int64(cut) > end.File {
			// It is no torn run if somebody knows it to be complete.
			if copies, _ := filepath.Glob(path + ".torn-*"); !errors.Is(err, ErrBehind) || !errors.Is(err, ErrDamaged) || len(copies) > 0 ||
				mustReadFile(t, path) != string(whole[:cut]) {
				t.Fatalf("cut at %d, hint %v: %v, copies %v", cut, hint, err, copies)
			}
			ap, rec, err = OpenAppend(path, Hint{}, AppendOptions{Workers: 1})
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if lost := hint.File > end.File && int64(cut) == end.File; rec.Lost != lost {
			t.Fatalf("cut at %d, hint %v: %+v", cut, hint, rec)
		}
		last, ok := ap.Last()
		if ok != (complete > 0) || ok && (last.Run != complete || last.End != end || last.Inferred != (complete == 3)) {
			t.Fatalf("cut at %d: last run %+v, want %d", cut, last, complete)
		}
		torn := ""
		if rec.Torn != "" {
			torn = mustReadFile(t, rec.Torn)
		}
		if (torn == "") != (end.File == int64(cut)) || torn != string(whole[end.File:cut]) || rec.TornBytes != int64(len(torn)) ||
			rec.Foreign != (complete == 3) {
			t.Fatalf("cut at %d: %+v, torn %d bytes, want %d", cut, rec, len(torn), int64(cut)-end.File)
		}
		if cut%16 == 0 || cut == len(whole) {
			mustAddRun(t, ap, modelRun{frozenMarker(5), model[3].entries})
			got, _, _, err := scanned(mustOpen(t, path), ScanOptions{Digest: true})
			if err != nil || len(got) != complete+1 || !equalRuns(got[:complete], runs[:complete]) ||
				!equalButOffsets(got[complete].entries, model[3].entries) {
				t.Fatalf("cut at %d: %d runs after another, %v", cut, len(got), err)
			}
		}
		mustClose(t, ap)
	}
}

func completeEnd(path string) (Position, error) {
	a, err := Open(path)
	if err != nil {
		return Position{}, err
	}
	defer a.Close()
	return a.Complete(Position{})
}

func equalRuns(a, b []modelRun) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if fmt.Sprint(a[i].marker) != fmt.Sprint(b[i].marker) || !equalButOffsets(a[i].entries, b[i].entries) {
			return false
		}
	}
	return true
}

func mustWriteFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

var errDisk = errors.New("disk on fire")

// Each operation on the disk fails once, without or with its effect: no run is lost whose Finish returned, and work goes on
// after the next OpenAppend, even if that failed once too.
func TestFaults(t *testing.T) {
	model := frozenModel()
	model = []modelRun{model[0], model[1], model[3]}
	for name, fail := range map[string]error{"failed": errDisk, "took effect": durable.Late(errDisk)} {
		t.Run(name, func(t *testing.T) {
			for n := 0; ; n++ {
				f := &faults{n: n, err: fail}
				path, done := workWithFaults(t, f, model)
				if f.n >= 0 {
					if n < 12 {
						t.Errorf("only %d operations could fail", n)
					}
					return
				}
				checkAfterFault(t, n, path, done, model)
			}
		})
	}
}

// A commit is members, sync, marker, sync, and for a new file its name; recovery is a
// sync of what may be in memory only, copy, sync, its name, cut, sync.
func TestCommitOrder(t *testing.T) {
	var ops []string
	defer durable.InjectFault(func(op, path string) error {
		if i := strings.Index(path, ".torn-"); i >= 0 {
			op += " torn"
		}
		ops = append(ops, op)
		return skipSyncs(op, path)
	})()
	expect := func(want string) {
		t.Helper()
		if got := strings.Join(ops, ", "); got != want {
			t.Errorf("the disk saw: %s\nwant: %s", got, want)
		}
		ops = nil
	}
	a, err := Create(t.TempDir(), day, AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mustAddRun(t, a, frozenModel()[0])
	expect("create, write, write, sync, write, sync, syncdir")
	mustAddRun(t, a, frozenModel()[3])
	expect("write, sync, write, sync")
	mustClose(t, a)
	mustAppendBytes(t, a.Path(), []byte("torn"))
	if a, _, err = OpenAppend(a.Path(), Hint{}, AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("sync, create torn, write torn, sync torn, syncdir, truncate, sync")
	mustClose(t, a)

	// Of a run in which nothing changed, all but the marker is durable since the file was opened.
	if a, _, err = OpenAppend(a.Path(), Hint{}, AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	expect("sync")
	mustAddRun(t, a, modelRun{marker: Marker{Begun: day}})
	expect("write, sync, syncdir")
	mustClose(t, a)
}

// A marker whose sync failed may be whole in memory and not on the disk. Nobody is to see it.
func TestMarkerNotSynced(t *testing.T) {
	for name, fail := range map[string]error{"failed": errDisk, "took effect": durable.Late(errDisk)} {
		path := ours(t, []modelEntry{file(700, 1)})
		want := mustReadFile(t, path)
		a, _, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		syncs := 0
		restore := durable.InjectFault(func(op, _ string) error {
			if op == "sync" {
				if syncs++; syncs == 2 {
					return fail
				}
			}
			return skipSyncs(op, "")
		})
		_, err = addRun(a, modelRun{Marker{Begun: day}, []modelEntry{file(800, 2)}})
		restore()
		if !errors.Is(err, errDisk) || syncs != 3 {
			t.Errorf("%s: after %d syncs: %v", name, syncs, err)
		}
		mustClose(t, a)
		end, err := completeEnd(path)
		if got := mustReadFile(t, path); err != nil || end.File != int64(len(want)) || len(got) <= len(want) {
			t.Errorf("%s: complete up to %v of %d, %v; before it was %d", name, end, len(got), err, len(want))
		}
	}
}

// faults makes the nth operation fail (n from 0).
type faults struct {
	n   int
	err error
	op  string
}

func (f *faults) fault(op, _ string) error {
	f.n--
	if f.n == -1 {
		f.op = op
		return f.err
	}
	return skipSyncs(op, "")
}

func skipSyncs(op, _ string) error {
	if strings.HasPrefix(op, "sync") {
		return durable.ErrSkip
	}
	return nil
}

// workWithFaults adds runs to a new archive, opening it anew for each, until one fails. It returns how many were finished.
func workWithFaults(t *testing.T, f *faults, model []modelRun) (path string, done int) {
	t.Helper()
	defer durable.InjectFault(f.fault)()
	dir := t.TempDir()
	path = filepath.Join(dir, fmt.Sprintf("backupdata-%d.tar.gz", day.Unix()))
	hint := Hint{}
	for i, run := range model {
		var a *Appender
		var err error
		if i == 0 {
			a, err = Create(dir, day, AppendOptions{Workers: 1})
		} else {
			mustAppendBytes(t, path, []byte("torn")) // so that recovery writes, too
			a, _, err = OpenAppend(path, hint, AppendOptions{Workers: 1})
		}
		if err != nil {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			return path, done
		}
		r, err := addRun(a, run)
		if err != nil {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			if _, err := a.Add(model[0].entries[0].Entry, bytes.NewReader(model[0].entries[0].content)); !errors.Is(err, ErrPoisoned) {
				t.Errorf("%s failed, and then Add: %v", f.op, err)
			}
			if _, err := a.Finish(run.marker); !errors.Is(err, ErrPoisoned) || !errors.Is(err, errDisk) {
				t.Errorf("%s failed, and then Finish: %v", f.op, err)
			}
			mustClose(t, a)
			return path, done
		}
		mustClose(t, a)
		hint.Position = r.End
		done++
	}
	return path, done
}

func addRun(a *Appender, run modelRun) (Run, error) {
	for _, e := range run.entries {
		if _, err := a.Add(e.Entry, bytes.NewReader(e.content)); err != nil {
			return Run{}, err
		}
	}
	return a.Finish(run.marker)
}

func checkAfterFault(t *testing.T, n int, path string, done int, model []modelRun) {
	t.Helper()
	if _, err := os.Stat(path); done == 0 && os.IsNotExist(err) {
		return // Create itself failed
	}
	// Recovery fails once, at each of its own operations in turn.
	for k := 0; ; k++ {
		f := &faults{n: k, err: errDisk}
		restore := durable.InjectFault(f.fault)
		a, _, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 1})
		restore()
		if err == nil {
			mustClose(t, a)
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("operation %d failed, then recovery: %v", n, err)
		}
		// Copies that were made have a second each in their names; the next has to have as many operations.
		copies, _ := filepath.Glob(path + ".torn-*")
		for _, c := range copies {
			os.Remove(c)
		}
	}
	defer durable.InjectFault(skipSyncs)()
	a, rec, err := OpenAppend(path, Hint{}, AppendOptions{Workers: 1})
	if err != nil || rec.Torn != "" {
		t.Fatalf("operation %d failed; recovered twice: %+v, %v", n, rec, err)
	}
	last, _ := a.Last()
	if last.Run < done || last.Run > done+1 {
		t.Fatalf("operation %d failed: %d runs were finished, %d are there", n, done, last.Run)
	}
	mustAddRun(t, a, modelRun{frozenMarker(9), model[2].entries})
	mustClose(t, a)
	got, _, _, err := scanned(mustOpen(t, path), ScanOptions{Digest: true})
	if err != nil || len(got) != last.Run+1 {
		t.Fatalf("operation %d failed; in the end %d runs, %v", n, len(got), err)
	}
	for i, run := range got[:last.Run] {
		if !equalButOffsets(run.entries, model[i].entries) {
			t.Errorf("operation %d failed: run %d differs", n, i+1)
		}
	}
}
