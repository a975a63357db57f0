package index

import (
	"database/sql/driver"
	"encoding/json"
	"time"

	"backupfs/archive"
)

// Run is one run of a user.
type Run struct {
	archive.Run
	Date string // name in the tree, see DateNames
}

// Runs returns all runs, oldest first, their Date for UTC.
func (ix *Index) Runs() ([]Run, error) {
	var plain []archive.Run
	err := ix.query(func(r *row) error {
		run, err := scanRun(r)
		plain = append(plain, run)
		return err
	}, runColumns+" ORDER BY run")
	if err != nil {
		return nil, err
	}
	runs := make([]Run, len(plain))
	for i, date := range DateNames(plain, time.UTC) {
		runs[i] = Run{plain[i], date}
	}
	return runs, nil
}

const runColumns = `SELECT run, format, begun, ended, user, source, inferred, start, marker, end_file, end_tar,
	folders, messages, bytes, new_messages, new_bytes, skipped, missing, mismatched, lost, digest, clock FROM runs`

func scanRun(r *row) (run archive.Run, err error) {
	run.Run, run.Format = int(r.nat(0)), int(r.nat(1))
	run.Begun, run.Ended = time.Unix(r.int(2), 0).UTC(), time.Unix(r.int(3), 0).UTC()
	run.User, run.Source, run.Inferred = r.text(4), r.text(5), r.int(6) != 0
	run.Start, run.Offset, run.End = r.nat(7), r.nat(8), archive.Position{File: r.nat(9), Tar: r.nat(10)}
	run.Folders, run.Messages, run.Bytes = int(r.int(11)), int(r.int(12)), r.int(13)
	run.NewMessages, run.NewBytes = int(r.int(14)), r.int(15)
	run.Missing, run.Mismatched, run.Lost, run.Digest = int(r.int(17)), int(r.int(18)), int(r.int(19)), r.text(20)
	if !r.null(21) {
		run.Clock = time.Unix(r.int(21), 0).UTC()
	}
	return run, json.Unmarshal([]byte(r.text(16)), &run.Skipped)
}

func (d *db) insertRun(r archive.Run) error {
	skipped, err := json.Marshal(r.Skipped)
	if err != nil {
		return err
	}
	var inferred int64
	if r.Inferred {
		inferred = 1
	}
	var clock driver.Value
	if !r.Clock.IsZero() {
		clock = r.Clock.Unix()
	}
	if _, err := d.exec("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		int64(r.Run), int64(r.Format), r.Begun.Unix(), r.Ended.Unix(), clock, r.User, r.Source, inferred,
		r.Start, r.Offset, r.End.File, r.End.Tar, int64(r.Folders), int64(r.Messages), r.Bytes,
		int64(r.NewMessages), r.NewBytes, string(skipped), int64(r.Missing), int64(r.Mismatched), int64(r.Lost), r.Digest); err != nil {
		return err
	}
	_, err = d.exec("UPDATE status SET end_file = ?, end_tar = ?", r.End.File, r.End.Tar)
	return err
}

// lastRun returns the last run, ok false if there is none.
func (d *db) lastRun() (run archive.Run, ok bool, err error) {
	err = d.query(func(r *row) error {
		ok = true
		run, err = scanRun(r)
		return err
	}, runColumns+" ORDER BY run DESC LIMIT 1")
	return run, ok, err
}
