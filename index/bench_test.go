package index_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
)

// many are two runs of n messages in 10 folders, the second with all flags changed.
func many(n int) []indextest.Run {
	runs := make([]indextest.Run, 2)
	for i := range runs {
		runs[i].Begun = time.Date(2009, 9, 27+i, 0, 0, 0, 0, time.UTC)
		for f := range 10 {
			folder := indextest.Folder{UniqueID: fmt.Sprint("f", f), Name: fmt.Sprint("INBOX.", f)}
			for m := range n / 10 {
				folder.Messages = append(folder.Messages, indextest.Message{UID: uint32(m + 1), Body: fmt.Sprint(f, m), Flags: uint32(i)})
			}
			runs[i].Folders = append(runs[i].Folders, folder)
		}
	}
	return runs
}

// BenchmarkCatchUp is a rebuild from 30,000 messages of a few bytes, and the scan of the same archive alone.
func BenchmarkCatchUp(b *testing.B) {
	dir := b.TempDir()
	path := indextest.Archive(b, dir, many(30_000)...)
	b.Run("scan", func(b *testing.B) {
		a := mustOpen(b, path)
		for b.Loop() {
			end, err := a.Complete(archive.Position{})
			if err != nil {
				b.Fatal(err)
			}
			for s := a.Scan(archive.Position{}, end, archive.ScanOptions{}); ; {
				if _, err := s.Next(); err != nil {
					break
				}
			}
		}
	})
	b.Run("rebuild", func(b *testing.B) {
		for b.Loop() {
			if err := index.Rebuild(context.Background(), path, filepath.Join(dir, "again.sqlite3"), nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMessages lists 10 folders of 3,000 messages each.
func BenchmarkMessages(b *testing.B) {
	dir := b.TempDir()
	indextest.Archive(b, dir, many(30_000)...)
	ix := mustOpenRead(b, filepath.Join(dir, "index.sqlite3"))
	for name, list := range map[string]func(folder int64) error{
		"Messages": func(folder int64) error {
			for _, err := range ix.Messages(folder, 2) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"EachMessage": func(folder int64) error {
			return ix.EachMessage(folder, 2, func(index.Message) error { return nil })
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for folder := range int64(10) {
					if err := list(folder + 1); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkMessage(b *testing.B) {
	dir := b.TempDir()
	indextest.Archive(b, dir, many(30_000)...)
	ix := mustOpenRead(b, filepath.Join(dir, "index.sqlite3"))
	for i := 0; b.Loop(); i++ {
		if _, ok, err := ix.Message(1, 2, uint32(i%3000+1)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
