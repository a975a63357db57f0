package indextest

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"testing"

	"backupfs/archive"
)

// Reworked is an archive one of whose members has other tar bytes, under a right CRC.
func Reworked(t testing.TB, whole []byte, m archive.Member, change func(tar []byte)) []byte {
	t.Helper()
	member := whole[m.File:m.End().File]
	tar, err := io.ReadAll(flate.NewReader(bytes.NewReader(member[archive.MemberHeaderSize:])))
	if err != nil {
		t.Fatal(err)
	}
	change(tar)
	b := bytes.NewBuffer(bytes.Clone(member[:archive.MemberHeaderSize]))
	w, _ := flate.NewWriter(b, flate.DefaultCompression)
	_, err = w.Write(tar)
	if cerr := w.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	made := binary.LittleEndian.AppendUint32(b.Bytes(), crc32.ChecksumIEEE(tar))
	made = binary.LittleEndian.AppendUint32(made, uint32(len(tar)))
	binary.LittleEndian.PutUint32(made[24:], uint32(len(made))) // docs/format.md: its size, and the CRC of the field
	binary.LittleEndian.PutUint32(made[44:], crc32.ChecksumIEEE(made[16:44]))
	return slices.Concat(whole[:m.File], made, whole[m.End().File:])
}
