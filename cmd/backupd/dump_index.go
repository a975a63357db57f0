package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"backupfs/cmd/internal/cli"
	"backupfs/cyrus"
)

// dumpedIndex is a cyrus.index in --json.
type dumpedIndex struct {
	Version       uint32         `json:"version"`
	UIDValidity   uint32         `json:"uidvalidity"`
	Exists        uint32         `json:"exists"`
	NumRecords    uint32         `json:"num_records"`
	LastUID       uint32         `json:"last_uid"`
	HighestModseq uint64         `json:"highest_modseq"`
	HeaderCRCOK   bool           `json:"header_crc_ok"`
	Records       []dumpedRecord `json:"records"`
}

type dumpedRecord struct {
	UID          uint32   `json:"uid"`
	InternalDate int64    `json:"internaldate"` // Unix seconds
	Size         uint64   `json:"size"`
	GUID         string   `json:"guid"`
	Flags        []string `json:"flags"`
	Modseq       uint64   `json:"modseq"`
	Expunged     bool     `json:"expunged"`
	CRCOK        bool     `json:"crc_ok"`
}

func dumpIndex(opts dumpOptions, b []byte, out io.Writer) error {
	ix, err := cyrus.ParseIndex(b)
	if err != nil {
		return err
	}
	names := userFlags(filepath.Join(filepath.Dir(opts.file), "cyrus.header"))
	d := dumpedIndex{ix.Version, ix.UIDValidity, ix.Exists, ix.NumRecords, ix.LastUID, ix.HighestModseq, ix.HeaderCRCOK,
		make([]dumpedRecord, 0, len(ix.Records))}
	ok := ix.HeaderCRCOK
	for i := range ix.Records {
		r := &ix.Records[i]
		ok = ok && r.CRCOK
		d.Records = append(d.Records, dumpedRecord{r.UID, r.InternalDate, r.Size, r.GUID.String(),
			append([]string{}, r.FlagNames(names)...), r.Modseq, r.Expunged(), r.CRCOK})
	}
	if opts.json {
		err = json.NewEncoder(out).Encode(d)
	} else {
		err = d.print(out)
	}
	if err == nil && !ok {
		err = fmt.Errorf("a CRC is wrong: %w", cyrus.ErrDamaged)
	}
	return err
}

// userFlags reads the names of user flags; none where there is no header that can be read.
func userFlags(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	h, err := cyrus.ParseHeader(b)
	if err != nil {
		return nil
	}
	return h.Flags
}

func (d *dumpedIndex) print(out io.Writer) error {
	fmt.Fprintf(out, "version %d, uidvalidity %d, exists %d, records %d, last uid %d, highest modseq %d, header CRC %s\n",
		d.Version, d.UIDValidity, d.Exists, d.NumRecords, d.LastUID, d.HighestModseq, right(d.HeaderCRCOK))
	for _, r := range d.Records {
		expunged := ""
		if r.Expunged {
			expunged = " expunged"
		}
		_, err := fmt.Fprintf(out, "uid %d %s size %d guid %s modseq %d CRC %s%s (%s)\n", r.UID, stamp(r.InternalDate), r.Size,
			r.GUID, r.Modseq, right(r.CRCOK), expunged, cli.Clean(strings.Join(r.Flags, " ")))
		if err != nil {
			return err
		}
	}
	return nil
}

func right(ok bool) string {
	if ok {
		return "right"
	}
	return "WRONG"
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
