package cyrus

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"backupfs/internal/testenv"

	"pgregory.net/rapid"
)

// fixtureVersions are those that a real server wrote for us.
var fixtureVersions = []uint32{10, 12, 13, 16, 17, 19, 20}

func mustFixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Fixtures(t), "cyrus313/index-versions", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustParse(t testing.TB, b []byte) *Index {
	t.Helper()
	ix, err := ParseIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func mustMarshal(t testing.TB, ix *Index) []byte {
	t.Helper()
	b, err := ix.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asPerl returns the fields as Cyrus's own reader prints them: by name, numbers decimal, flags in bits, digests and CIDs in hex.
func asPerl[T any](ops []op[T], v *T) map[string]string {
	m := map[string]string{}
	for _, o := range ops {
		s := ""
		stamp := func(sec int64, nsec int32) string {
			if o.size == 8 {
				return fmt.Sprint(sec*second + int64(nsec))
			}
			return fmt.Sprint(sec)
		}
		switch p := o.ref(v).(type) {
		case *uint32:
			s = fmt.Sprint(*p)
			if o.name == "Options" || o.name == "SystemFlags" {
				s = fmt.Sprintf("%032b", *p)
			}
		case *uint64:
			s = fmt.Sprint(*p)
			if strings.HasSuffix(o.name, "CID") {
				s = fmt.Sprintf("%016x", *p)
			}
		case *Time:
			s = stamp(p.Sec, p.Nsec)
		case *internalDate:
			s = stamp(p.InternalDate, p.InternalNsec)
		case *[4]uint32:
			s = fmt.Sprintf("%032b%032b%032b%032b", p[0], p[1], p[2], p[3])
		case *GUID:
			s = p.String()
		case *[12]byte:
			s = fmt.Sprintf("%x", *p)
		}
		m[o.name] = s
	}
	return m
}

// TestIndexAgainstPerl compares all fields of all fixtures with what Cyrus's own reader says, and writes them back.
func TestIndexAgainstPerl(t *testing.T) {
	for _, version := range fixtureVersions {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			var perl struct {
				Header  map[string]any
				Records []map[string]any
			}
			d := json.NewDecoder(bytes.NewReader(mustFixture(t, fmt.Sprintf("perl-IndexFile-dump.v%d.json", version))))
			d.UseNumber()
			if err := d.Decode(&perl); err != nil {
				t.Fatal(err)
			}
			file := mustFixture(t, fmt.Sprintf("cyrus.index.v%d", version))
			ix := mustParse(t, file)
			if ix.Version != version || len(ix.Records) != len(perl.Records) || !ix.HeaderCRCOK {
				t.Fatalf("version %d, %d records, CRC %v", ix.Version, len(ix.Records), ix.HeaderCRCOK)
			}
			header := mustFixture(t, fmt.Sprintf("cyrus.header.v%d", version))
			if version >= 12 && ix.HeaderFileCRC != crc32.ChecksumIEEE(header) {
				t.Error("CRC of cyrus.header")
			}
			comparePerl(t, "header", asPerl(layouts()[version].header, ix), perl.Header)
			for n := range ix.Records {
				r := &ix.Records[n]
				if !r.CRCOK {
					t.Errorf("CRC of UID %d", r.UID)
				}
				comparePerl(t, fmt.Sprint("UID ", r.UID), asPerl(layouts()[version].record, r), perl.Records[n])
			}
			if !bytes.Equal(mustMarshal(t, ix), file) {
				t.Error("written back, it is another file")
			}
		})
	}
}

func comparePerl(t *testing.T, what string, ours map[string]string, perl map[string]any) {
	t.Helper()
	compared := 0
	for name, value := range ours {
		theirs, ok := perl[name]
		switch name {
		case "SyncCRC":
			if theirs, ok = perl["SyncCRCsBasic"]; !ok {
				theirs, ok = perl["SyncCRC"]
			}
		case "NumRecords": // the reader calls it Exists where the file has no other
			if !ok {
				theirs, ok = perl["Exists"]
			}
		}
		if !ok {
			t.Errorf("%s: Perl has no %s", what, name)
			continue
		}
		if compared++; fmt.Sprint(theirs) != value {
			t.Errorf("%s: %s is %s, Perl says %v", what, name, value, theirs)
		}
	}
	for name := range perl { // all of theirs are compared but what pads
		if _, ok := ours[name]; !ok && !strings.HasPrefix(name, "Spare") && !strings.HasPrefix(name, "SyncCRC") && name != "Exists" {
			t.Errorf("%s: we have no %s", what, name)
		}
	}
}

// TestIndexAgainstIMAP compares the fixtures with what IMAP showed of the mailbox.
func TestIndexAgainstIMAP(t *testing.T) {
	var truth struct {
		UIDValidity   uint32
		HighestModseq uint64
		Messages      []struct {
			UID    uint32
			Flags  []string
			Date   int64 `json:"internaldate_unix"`
			Size   uint64
			SHA1   string
			Modseq uint64
		}
	}
	if err := json.Unmarshal(mustFixture(t, "truth.json"), &truth); err != nil {
		t.Fatal(err)
	}
	for _, version := range fixtureVersions {
		ix := mustParse(t, mustFixture(t, fmt.Sprintf("cyrus.index.v%d", version)))
		h, err := ParseHeader(mustFixture(t, fmt.Sprintf("cyrus.header.v%d", version)))
		if err != nil {
			t.Fatal(err)
		}
		if ix.UIDValidity != truth.UIDValidity || ix.HighestModseq != truth.HighestModseq {
			t.Errorf("version %d: UIDVALIDITY %d, HIGHESTMODSEQ %d", version, ix.UIDValidity, ix.HighestModseq)
		}
		live := slices.DeleteFunc(slices.Clone(ix.Records), func(r Record) bool { return r.Expunged() })
		if len(live) != len(truth.Messages) || version >= 12 && int(ix.Exists) != len(live) {
			t.Fatalf("version %d: %d messages, %d exist", version, len(live), ix.Exists)
		}
		for n, want := range truth.Messages {
			r := live[n]
			flags := r.FlagNames(h.Flags)
			slices.Sort(flags)
			if version < 12 {
				want.Flags = slices.DeleteFunc(slices.Clone(want.Flags), func(f string) bool { return f == `\Seen` })
			}
			if r.UID != want.UID || r.Size != want.Size || r.InternalDate != want.Date || r.Modseq != want.Modseq ||
				r.GUID.String() != want.SHA1 || !slices.Equal(flags, want.Flags) {
				t.Errorf("version %d: %+v with %q, IMAP says %+v", version, r, flags, want)
			}
		}
	}
}

// TestConvert writes the fixture of version 20 in every other version, and looks that what the version has is kept.
func TestConvert(t *testing.T) {
	from := mustParse(t, mustFixture(t, "cyrus.index.v20"))
	for version, l := range layouts() {
		to := *from
		to.Version, to.RecordSize = version, 0
		b := mustMarshal(t, &to)
		got := mustParse(t, b)
		if !got.HeaderCRCOK || len(b) != l.headerSize+len(from.Records)*l.recordSize {
			t.Errorf("version %d: %d bytes, CRC %v", version, len(b), got.HeaderCRCOK)
		}
		head := *from
		head.Version, head.StartOffset, head.RecordSize, head.HeaderCRC = version, uint32(l.headerSize), uint32(l.recordSize), got.HeaderCRC
		if want, have := asPerl(l.header, &head), asPerl(l.header, got); !reflect.DeepEqual(want, have) {
			t.Errorf("version %d: header %v, want %v", version, have, want)
		}
		for n := range from.Records {
			r := from.Records[n]
			r.RecordCRC = got.Records[n].RecordCRC
			if version < seenVersion {
				r.SystemFlags &^= FlagSeen
			}
			if want, have := asPerl(l.record, &r), asPerl(l.record, &got.Records[n]); !reflect.DeepEqual(want, have) || !got.Records[n].CRCOK {
				t.Errorf("version %d: record %v, want %v", version, have, want)
			}
		}
	}
}

// TestIndexRefuses: what cannot be is an error of the right kind, and cut anywhere it is one too.
func TestIndexRefuses(t *testing.T) {
	small := func(version uint32) []byte {
		return mustMarshal(t, &Index{Version: version, Records: []Record{{UID: 1}, {UID: 7, Size: 3}}})
	}
	set := func(b []byte, off int, n uint32) []byte {
		b = slices.Clone(b)
		binary.BigEndian.PutUint32(b[off:], n)
		return b
	}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"version 8":           {set(small(9), 8, 8), ErrVersion},
		"version 11":          {set(small(10), 8, 11), ErrVersion},
		"version 21":          {set(small(20), 8, 21), ErrVersion},
		"start offset":        {set(small(17), 12, 161), ErrDamaged},
		"record size":         {set(small(17), 16, 144), ErrDamaged},
		"record size 0":       {set(small(9), 16, 0), ErrDamaged},
		"one record more":     {set(small(12), 20, 3), ErrDamaged},
		"records without end": {set(small(20), 20, 0xffffffff), ErrDamaged},
		"nothing":             {nil, ErrDamaged},
	} {
		if _, err := ParseIndex(c.file); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for version := range layouts() {
		whole := small(version)
		for n := range whole {
			if ix, err := ParseIndex(whole[:n]); !errors.Is(err, ErrDamaged) || ix != nil {
				t.Fatalf("version %d cut at %d: %v", version, n, err)
			}
		}
		if ix := mustParse(t, append(whole, 1, 2, 3)); len(ix.Records) != 2 {
			t.Errorf("version %d: a record that is being appended counts", version)
		}
	}
	if _, err := (&Index{Version: 11}).Marshal(); !errors.Is(err, ErrVersion) {
		t.Errorf("wrote version 11: %v", err)
	}
	for _, ix := range []*Index{
		{Version: 19, Records: []Record{{Size: 1 << 32}}},
		{Version: 19, Records: []Record{{InternalDate: 1 << 32}}},
		{Version: 20, Records: []Record{{InternalDate: 1 << 40}}},
		{Version: 20, Records: []Record{{InternalNsec: second}}},
	} {
		if _, err := ix.Marshal(); err == nil {
			t.Errorf("wrote %+v", ix.Records[0])
		}
	}
}

// TestCRC: every byte that a CRC covers is covered, and a wrong CRC does not hide the record.
func TestCRC(t *testing.T) {
	whole := mustMarshal(t, &Index{Version: 17, UIDValidity: 9, Records: []Record{{UID: 1}, {UID: 7, Size: 3}}})
	l := layouts()[17]
	for n := 24; n < len(whole); n++ {
		b := slices.Clone(whole)
		b[n] ^= 0x10
		ix := mustParse(t, b)
		header := n < l.headerSize
		first := !header && n < l.headerSize+l.recordSize
		if ix.HeaderCRCOK == header || ix.Records[0].CRCOK == first || ix.Records[1].CRCOK == (!header && !first) {
			t.Errorf("byte %d: CRCs %v, %v, %v", n, ix.HeaderCRCOK, ix.Records[0].CRCOK, ix.Records[1].CRCOK)
		}
	}
}

// TestVersion19WithRecordsOf20: such files occur.
func TestVersion19WithRecordsOf20(t *testing.T) {
	b := mustMarshal(t, &Index{Version: 19, RecordSize: 144, Records: []Record{{UID: 1}, {UID: 7, Size: 3}}})
	ix := mustParse(t, b)
	if len(b) != 160+2*144 || ix.Records[1].UID != 7 || ix.Records[1].Size != 3 || !ix.Records[1].CRCOK {
		t.Errorf("%d bytes, %+v", len(b), ix.Records)
	}
}

// TestDoc: the tables of docs/cyrus.md are those that are read by.
func TestDoc(t *testing.T) {
	doc, err := os.ReadFile("../docs/cyrus.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(doc), "### Header\n")
	header, record, _ := strings.Cut(tables, "### Record\n")
	compareDoc(t, header, headerFields)
	compareDoc(t, record, recordFields)
}

func compareDoc[T any](t *testing.T, table string, fields []field[T]) {
	t.Helper()
	var want []string
	for _, f := range fields {
		cells := append([]string{f.name}, strings.Fields(f.cells)...)
		want = append(want, strings.ReplaceAll("| "+strings.Join(cells, " | ")+" |", " - ", "  "))
	}
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if len(rows) < 2 || !slices.Equal(rows[2:], want) {
		t.Errorf("the page has\n%s\nwant\n%s", table, strings.Join(want, "\n"))
	}
}

// TestTimes: a time that is written is the time that is read.
func TestTimes(t *testing.T) {
	testenv.Check(t, func(t *rapid.T) {
		ns := rapid.Int64().Draw(t, "ns")
		cell := binary.BigEndian.AppendUint64(nil, uint64(ns))
		tm, back := timeOf(cell), make([]byte, 8)
		if !putTime(back, tm) || !bytes.Equal(cell, back) || tm.Nsec < 0 || tm.Nsec >= second {
			t.Fatalf("%d ns are %+v, and back %x", ns, tm, back)
		}
	})
}

// FuzzParseIndex: what parses is written back as the same bytes, all but CRCs, what pads and what stands behind the last record.
func FuzzParseIndex(f *testing.F) {
	for version := range layouts() {
		r := Record{UID: 3, InternalDate: 1254175711, Size: 9, SystemFlags: FlagExpunged | FlagFlagged, UserFlags: [4]uint32{5}}
		b, err := (&Index{Version: version, Records: []Record{r, {UID: 4}}}).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := ParseIndex(b)
		if err != nil {
			if ix != nil {
				t.Fatal("an error and an index")
			}
			return
		}
		out := mustMarshal(t, ix)
		l := layouts()[ix.Version]
		sameCells(t, l.header, l.headerCRC, b, out)
		for n := range ix.Records {
			at := l.headerSize + n*int(ix.RecordSize)
			in := slices.Clone(b[at:][:ix.RecordSize])
			if ix.Version < seenVersion {
				in[35] &^= FlagSeen
			}
			sameCells(t, l.record, l.recordCRC, in, out[at:])
			ix.Records[n].FlagNames(nil)
		}
	})
}

func sameCells[T any](t *testing.T, ops []op[T], crc int, in, out []byte) {
	t.Helper()
	for _, o := range ops {
		if o.off != crc && !bytes.Equal(in[o.off:o.off+o.size], out[o.off:o.off+o.size]) {
			t.Fatalf("%s: %x became %x", o.name, in[o.off:o.off+o.size], out[o.off:o.off+o.size])
		}
	}
}
