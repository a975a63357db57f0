package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"backupfs/archive"
	"backupfs/backup"
	"backupfs/schedule"
	"backupfs/source"
)

// listed is how many users are in a list of which nobody's turn has come, or whose turns take no time.
const listed = 100_000

// serve measures a round of backupd serve, and what the list of users costs it.
func (b *bench) serve() error {
	t := table{{"`serve`", "s", "users/s", "peak memory MB", "CPU s"}}
	for _, part := range []func(*table) error{b.served, b.waiting, b.turns} {
		if err := part(&t); err != nil {
			return err
		}
	}
	fmt.Fprint(b.out, t)
	return nil
}

// served are rounds of this host's users: the first, and those in which nothing changed.
func (b *bench) served(t *table) error {
	dir := filepath.Join(b.dir, "agent")
	sp, err := haveListedSpool(filepath.Join(dir, "server"), b.behind, agentFolders)
	if err != nil {
		return err
	}
	repo := filepath.Join(dir, "served")
	if err := os.RemoveAll(repo); err != nil {
		return err
	}
	for i, name := range []string{"the first round of %d users of %d folders, no messages", "a round of %d users of %d folders, nothing changed"} {
		var took []float64
		var n needs
		for range 1 + i*(b.rounds-1) {
			syscall.Sync()
			cmd := exec.Command(filepath.Join(b.bin, "backupd"), "serve", "--once", "-q", "--store", repo, "--imapd-conf", sp.conf)
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(sp.conf)+":"+os.Getenv("PATH")) // of its ctl_mboxlist
			seconds, most, err := withPeak(cmd)
			if err != nil {
				return err
			}
			took = append(took, seconds)
			n.add(needs{most, cpu(cmd)})
		}
		s := median(took)
		t.row(append([]string{fmt.Sprintf(name, b.behind, agentFolders), fmt.Sprintf("%.1f", s), fmt.Sprintf("%.0f", float64(b.behind)/s)}, n.cells()...)...)
	}
	return nil
}

// waiting is a server that has read the list, and for whose users it is not time.
func (b *bench) waiting(t *table) (err error) {
	dir, err := os.MkdirTemp(b.dir, "serve-")
	if err != nil {
		return err
	}
	var users bytes.Buffer
	for i := range listed {
		fmt.Fprintf(&users, "user%06d,imap1,unit%d\n", i, i%8)
	}
	// The window opens in half a day.
	config := fmt.Sprintf("stores = [%q]\nusers = {driver = 'file', file = %q}\nservers.imap1 = {imapd_conf = '/nowhere'}\nschedule = {window = '%s', time_zone = 'UTC'}\n",
		filepath.Join(dir, "store"), filepath.Join(dir, "users.csv"), time.Now().UTC().Add(12*time.Hour).Format("15:04"))
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "users.csv"), users.Bytes(), 0o600), os.WriteFile(filepath.Join(dir, "backupd.toml"), []byte(config), 0o600)); err != nil {
		return err
	}
	backupd := filepath.Join(b.bin, "backupd")
	begun := time.Now()
	server := exec.Command(backupd, "serve", "--make-stores", "--config", filepath.Join(dir, "backupd.toml"))
	var said bytes.Buffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		return err
	}
	var took float64
	defer func() {
		n := needs{peak: peak(server.Process.Pid)}
		err = errors.Join(err, server.Process.Signal(syscall.SIGTERM))
		err = errors.Join(err, failure(server, server.Wait(), said.Bytes()))
		n.cpu = cpu(server)
		t.row(append([]string{fmt.Sprintf("%d users in the list, none is due: until it is read and kept", listed), fmt.Sprintf("%.1f", took), "–"}, n.cells()...)...)
	}()
	for {
		out, err := exec.Command(backupd, "status", "--json", "--config", filepath.Join(dir, "backupd.toml")).Output()
		var rep schedule.Report
		if err == nil && json.Unmarshal(out, &rep) == nil && rep.Users() == listed {
			took = time.Since(begun).Seconds()
			return nil
		}
		if time.Since(begun) > time.Minute {
			return fmt.Errorf("the list is not read: %w: %s", errSlow, said.Bytes())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// turns is the queue's own cost: a round of users whose backups take no time.
func (b *bench) turns(t *table) error {
	dir, err := os.MkdirTemp(b.dir, "turns-")
	if err != nil {
		return err
	}
	users := make([]schedule.User, listed)
	for i := range users {
		users[i] = schedule.User{Name: fmt.Sprintf("user%06d", i), Server: "imap1", Unit: fmt.Sprint("unit", i%8)}
	}
	options := schedule.Options{
		Limits: schedule.Limits{Workers: 12, Batch: 50, PerDriveUnit: 1, PerServer: 12}, Plan: schedule.MaxAge(24 * time.Hour), Once: true, Refresh: time.Hour,
		Lists:   []schedule.List{{Users: func(context.Context) ([]schedule.User, error) { return users, nil }}},
		Connect: func(context.Context, string) (source.Source, error) { return idle{}, nil },
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	begun := time.Now()
	if err := schedule.New(nothing{}, slog.New(slog.NewTextHandler(io.Discard, nil)), options).Run(context.Background(), filepath.Join(dir, schedule.StateName)); err != nil {
		return err
	}
	s := time.Since(begun).Seconds()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	seconds := func(r *syscall.Rusage) float64 { return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9 }
	t.row(fmt.Sprintf("the queue alone: a round of %d users whose backups take no time", listed), fmt.Sprintf("%.1f", s), fmt.Sprintf("%.0f", listed/s),
		"–", fmt.Sprintf("%.1f", seconds(&after)-seconds(&before)))
	return nil
}

// idle is a server of which nothing is asked.
type idle struct{ source.Source }

func (idle) Close() error { return nil }

// nothing are archives that are not there, and take no time.
type nothing struct{ schedule.Archives }

func (nothing) Roots() []string                            { return nil }
func (nothing) Names() ([]string, error)                   { return nil, nil }
func (nothing) Sweep() error                               { return nil }
func (nothing) Aside(string) (a backup.Aside)              { return a }
func (nothing) Last(context.Context, string) (t time.Time) { return t }

func (nothing) Backup(context.Context, source.Source, string) (*backup.Result, error) {
	return &backup.Result{Run: archive.Run{Marker: archive.Marker{Begun: time.Now()}}, Current: 1}, nil
}
