// Mkspool makes the spools of testdata/spools anew: what a real Cyrus server wrote over three days, from mail that nobody
// sent, and what it said over IMAP at the end of each. It needs Debian's cyrus-imapd and starts it for itself.
//
//	go run ./internal/mkspool testdata/spools
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"backupfs/internal/compose"
	"backupfs/internal/cyruslab"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: mkspool DIR")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal("mkspool: ", err)
	}
}

func run(out string) (err error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/tmp", "mkspool-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // user cyrus goes through it
		return err
	}
	lab, err := cyruslab.New(dir, cyruslab.Options{AltNamespace: true, UnixHierarchySep: true, DelayedDelete: true})
	if err != nil {
		return err
	}
	mail := compose.New(1)
	for i, day := range story {
		if err := oneDay(lab, mail, day, filepath.Join(out, fmt.Sprintf("day%d", i+1))); err != nil {
			return fmt.Errorf("day %d: %w", i+1, err)
		}
	}
	return nil
}

// oneDay lets a day happen, and writes what the server then said (base.json) and left on disk (base.tar.gz).
func oneDay(lab *cyruslab.Lab, mail *compose.Composer, day func(*session) error, base string) error {
	if err := lab.Start(); err != nil {
		return err
	}
	err := func() error {
		s, err := login(lab, mail)
		if err != nil {
			return err
		}
		if err := errors.Join(day(s), s.close()); err != nil {
			return err
		}
		t, err := lab.Truth("alice", "jane.doe", cyruslab.SharedUser)
		if err != nil {
			return err
		}
		b, err := json.Marshal(t)
		if err != nil {
			return err
		}
		return os.WriteFile(base+".json", append(b, '\n'), 0o644)
	}()
	// The server is stopped before its files are taken: they are then what it has on disk, all of it.
	if err := errors.Join(err, lab.Stop()); err != nil {
		return err
	}
	return pack(lab.Dir, base+".tar.gz")
}
