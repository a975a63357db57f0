package main

import (
	"database/sql"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"
)

// TestOpenWhileNextRun: a file of an archive that was replaced can be read while the next run writes to the index that took the place
// of the old one: sqlite takes the journal of the new one for that of the old.
func TestOpenWhileNextRun(t *testing.T) {
	x := newFixture(t)
	h := newHistory(x, "brong", 1)
	for range 3 {
		h.backup()
		h.deliver()
	}
	m := x.mount("")
	fd, err := unix.Open(m.path("brong/latest/INBOX/1."), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 100)
	if _, err := unix.Pread(fd, buf, 0); err != nil {
		t.Fatal(err)
	}
	h.compact(1)
	db, err := sql.Open("sqlite3", x.user("brong").Index()+"?_txlock=immediate&_synchronous=OFF")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE messages SET internaldate = internaldate + 1"); err != nil { // without syncs, the journal counts at once
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		time.Sleep(300 * time.Millisecond)
		ended <- tx.Rollback()
	}()
	mustForget(t, fd)
	if _, err := unix.Pread(fd, buf, 0); err != nil {
		t.Errorf("%v\n%s", err, m.log)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
