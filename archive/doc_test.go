package archive

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the tests compare with: examples of docs/format.md, testdata/frozen")

const formatDoc = "../docs/format.md"

// The page and the code say the same: its examples decode and encode to the same bytes, its tables have the code's numbers.
func TestFormatDoc(t *testing.T) {
	page := mustReadFile(t, formatDoc)
	member := Member{Position: Position{Tar: 524288}, FileSize: 1000, TarSize: 2048, First: 512, ID: 0xdeadbeef}
	sum := fmt.Sprintf("%x", sha1.Sum(bytes.Repeat([]byte("x"), 531)))
	entry := Entry{
		Name: "files/" + sum, Linkname: sum, Type: TypeFile, Size: 531, Inode: 123456,
		Mtime: time.Date(2009, 9, 28, 23, 55, 0, 0, time.UTC).Unix(),
	}
	examples := map[string][]byte{"member": appendMemberHeader(nil, member), "header": appendHeaders(nil, entry)}
	if *update {
		for name, b := range examples {
			_, at, end := example(t, page, name)
			page = page[:at] + hexLines(b) + page[end:]
		}
		if err := os.WriteFile(formatDoc, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range examples {
		if got, _, _ := example(t, page, name); !bytes.Equal(got, want) {
			t.Errorf("example:%s: the code writes\n%s", name, hexLines(want))
		}
	}

	b, _, _ := example(t, page, "member")
	if m, err := parseMemberHeader(b); err != nil || m != member || !bytes.Equal(appendMemberHeader(nil, m), b) {
		t.Errorf("example:member decodes to %+v, %v", m, err)
	}
	b, _, _ = example(t, page, "header")
	if e, err := parseHeader((*[BlockSize]byte)(b)); err != nil || e != entry || !bytes.Equal(appendHeaders(nil, e), b) {
		t.Errorf("example:header decodes to %+v, %v", e, err)
	}
	checkFieldTable(t, page)
	checkMarkerTable(t, page)
	for _, n := range []int64{MemberSize, WholeSize, MaxSize, maxMemberFile, MaxName} {
		if s := thousands(n); !strings.Contains(page, s) {
			t.Errorf("the page does not say %s", s)
		}
	}
}

// example returns the bytes of an example, and where their text stands in the page.
func example(t *testing.T, page, name string) (b []byte, at, end int) {
	t.Helper()
	m := regexp.MustCompile("(?s)<!-- example:" + name + " -->\n```\n(.*?)```").FindStringSubmatchIndex(page)
	if m == nil {
		t.Fatalf("the page has no example:%s", name)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(page[m[2]:m[3]]), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b, m[2], m[3]
}

func hexLines(b []byte) string {
	var s strings.Builder
	for ; len(b) > 0; b = b[min(len(b), 32):] {
		fmt.Fprintf(&s, "% x\n", b[:min(len(b), 32)])
	}
	return s.String()
}

// checkFieldTable checks that the extra field's table has no gap, and the code's offsets.
func checkFieldTable(t *testing.T, page string) {
	t.Helper()
	want := map[string]int{
		"gzip": 0, "XLEN": 10, "SI1, SI2": 12, "LEN": 14, "version": fieldVersion, "flags": fieldFlags, "reserved": fieldReserved,
		"id": fieldID, "size": fieldSize, "tar size": fieldTarSize, "tar offset": fieldTar, "first entry": fieldFirst, "CRC": fieldCRC,
	}
	next := 0
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| ([^|]+) \|`).FindAllStringSubmatch(page, -1) {
		at, _ := strconv.Atoi(row[1])
		size, _ := strconv.Atoi(row[2])
		if at != next || want[row[3]] != at {
			t.Errorf("field %s stands at %d, after what ends at %d; the code has it at %d", row[3], at, next, want[row[3]])
		}
		next = at + size
		delete(want, row[3])
	}
	if next != MemberHeaderSize || len(want) > 0 {
		t.Errorf("the fields end at %d, the header at %d; not in the table: %v", next, MemberHeaderSize, want)
	}
}

// checkMarkerTable checks that the marker's table has the keys of Marker, in their order.
func checkMarkerTable(t *testing.T, page string) {
	t.Helper()
	_, table, _ := strings.Cut(page, "| key | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	var keys []string
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]*) \|`).FindAllStringSubmatch(table, -1) {
		for _, key := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			keys = append(keys, key[1])
		}
	}
	var fields []string
	for i := range reflect.TypeFor[Marker]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[Marker]().Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	if !reflect.DeepEqual(keys, fields) {
		t.Errorf("the page's keys are %v, the code's %v", keys, fields)
	}
}

// thousands writes a number as the page does.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func mustReadFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
