package web_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"backupfs/cmd/internal/web"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
	"backupfs/lock"
	"backupfs/schedule"
	"backupfs/source"
)

// Names and folders that somebody chose who means ill.
const (
	hostile       = `<script>alert("user")</script>&'../x`
	hostileFolder = `INBOX.<img src=x onerror="alert('folder')">`
	hostileReason = `<b>INBOX</b>: "><script>alert("reason")</script>`
)

// mustServe serves the pages of a real scheduler, and a real store: 120 users, of whom brong has 120 runs, ten are late, one has an index that is
// damaged, and two failed. The window is closed, so that nothing
// happens.
func mustServe(t *testing.T) (base string) {
	t.Helper()
	testenv.SetMemory(t)
	dir := t.TempDir()
	st, err := store.Init(dir + "/store")
	must(t, err)
	now := time.Now()
	mustArchive(t, st, "brong", now)
	broken, err := st.User("broken")
	must(t, err, broken.Make(), os.WriteFile(broken.Index(), []byte("no index"), 0o600))

	users := []schedule.User{{Name: hostile, Server: "imap1", Unit: "ssd1"}, {Name: "brong", Server: "imap1", Unit: "ssd1"}, {Name: "broken", Server: "imap2", Unit: "ssd2"}}
	for i := range 117 {
		users = append(users, schedule.User{Name: fmt.Sprintf("user%03d", i), Server: fmt.Sprintf("imap%d", 1+i%3), Unit: fmt.Sprintf("ssd%d", 1+i%2)})
	}
	opens := now.UTC().Add(6 * time.Hour)
	plan, err := schedule.Window(opens.Format("15:04")+"-"+opens.Add(time.Hour).Format("15:04"), time.UTC)
	must(t, err)
	opts := schedule.Options{Limits: schedule.Limits{Workers: 1, Batch: 1, PerDriveUnit: 1, PerServer: 1, Retries: 3}, Plan: plan, Refresh: time.Hour,
		Lists: []schedule.List{{Users: func(context.Context) ([]schedule.User, error) { return users, nil }},
			{Server: "imap9", Users: func(context.Context) ([]schedule.User, error) { return nil, errors.New(hostileReason) }}},
		Connect: func(context.Context, string) (source.Source, error) { return nil, errors.New("the window is closed") }}
	state := filepath.Join(dir, schedule.StateName)
	_, end := mustRun(t, schedule.Stores{st}, opts, state, len(users))
	end() // it made the state, into which the past goes
	mustRemember(t, state, now)
	s, end := mustRun(t, schedule.Stores{st}, opts, state, len(users))
	t.Cleanup(end)
	srv := httptest.NewUnstartedServer(nil)
	srv.Config.Handler = web.Guard(srv.Listener.Addr(), web.Handler(web.Source{Report: s.Report, Users: s.Users, User: s.User, Runs: schedule.Stores{st}.Runs},
		slog.New(slog.DiscardHandler)))
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// mustRun runs a scheduler until end, and waits until it has read the lists, of which one fails.
func mustRun(t *testing.T, stores schedule.Stores, opts schedule.Options, state string, users int) (s *schedule.Scheduler, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s = schedule.New(stores, slog.New(slog.DiscardHandler), opts)
	var group errgroup.Group
	group.Go(func() error { return s.Run(ctx, state) })
	for begun := time.Now(); ; {
		if r, err := s.Report(ctx); err == nil && r.Users() == users && slices.ContainsFunc(r.Troubles, ofList) {
			break
		}
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("the lists are not read")
		}
		must(t, lock.Pause(ctx, 10*time.Millisecond))
	}
	return s, func() {
		cancel()
		must(t, group.Wait())
	}
}

func ofList(t schedule.Trouble) bool { return t.What == "list of users of imap9" }

// mustArchive makes brong's: a run each day, in which he gets mail, and some in which something was skipped.
func mustArchive(t *testing.T, st *store.Store, name string, now time.Time) {
	t.Helper()
	u, err := st.User(name)
	must(t, err, u.Make())
	folder := indextest.Folder{UniqueID: "0123456789abcdef", Name: "INBOX"}
	var runs []indextest.Run
	for day := range 120 {
		if day%5 == 3 {
			uid := uint32(day + 1)
			folder.Messages = append(folder.Messages, indextest.Message{UID: uid, Date: 1259443200, Body: fmt.Sprintf("Subject: %d\r\n\r\n%x\r\n", day, noise(300+20*day))})
		}
		run := indextest.Run{Begun: now.Add(-time.Duration(120-day)*24*time.Hour + time.Hour).Truncate(time.Second), Folders: []indextest.Folder{folder}}
		if day%40 == 39 {
			run.Skipped = []string{hostileFolder}
		}
		runs = append(runs, run)
	}
	indextest.Archive(t, u.Dir, runs...)
}

// noise is what cannot be compressed, the same each time.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// mustRemember writes a past into the state.
func mustRemember(t *testing.T, state string, now time.Time) {
	t.Helper()
	db, err := sql.Open("sqlite3", state)
	must(t, err)
	defer db.Close()
	day := func(n int) int64 { return now.Add(-time.Duration(n) * 24 * time.Hour).UnixMilli() }
	for _, x := range []struct {
		query string
		args  []any
	}{
		{"UPDATE users SET seen = ?, last = ?", []any{day(200), now.Add(-2 * time.Hour).UnixMilli()}},
		{"UPDATE users SET last = ? WHERE name = ?", []any{day(20), hostile}},
		{"UPDATE users SET last = ? - 1000 * CAST(substr(name, 5) AS INTEGER) WHERE name LIKE 'user00%' AND name < 'user008'", []any{day(9)}},
		{"UPDATE users SET last = 0 WHERE name = 'user116'", nil},
		{"UPDATE users SET tries = 4, tried = ?, reason = ? WHERE name IN ('user050', ?)", []any{day(0), hostileReason, hostile}},
	} {
		_, err := db.Exec(x.query, x.args...)
		must(t, err)
	}
	for n := range 170 {
		failed, incomplete := 0, 0
		switch {
		case n%31 == 7:
			failed = 40
		case n%23 == 5:
			incomplete = 2
		case n == 60:
			continue
		}
		_, err := db.Exec("INSERT INTO days VALUES (?, ?, ?, ?)", now.AddDate(0, 0, -n).Format(time.DateOnly), 120-failed-incomplete, incomplete, failed)
		must(t, err)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
