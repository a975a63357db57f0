package main

import (
	"math"

	"github.com/dustin/go-humanize"

	"backupfs/cmd/internal/cli"
)

// byteSize is a flag: bytes, or 50MB, or 1MiB.
type byteSize int64

func (s *byteSize) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return cli.Usagef("no number of bytes, as 50MB")
	}
	*s = byteSize(n)
	return nil
}

func (s *byteSize) String() string {
	if *s == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*s))
}

func (s *byteSize) Type() string { return "SIZE" }
