package backup

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"backupfs/archive"
	"backupfs/index/indextest"
	"backupfs/internal/testenv"
)

// TestWrongTar: a bit of the tar is wrong, and every CRC right, as where a member was changed by who knows the format. verify names all that is
// not as it was, a mount shows all else at all dates, and a repair keeps that.
func TestWrongTar(t *testing.T) {
	testenv.SetMemory(t)
	m, members := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	whole, known := mustRead(t, path), mustRead(t, u.Index())
	want, _ := mustContents(t, u)
	n := 0
	for _, member := range telling(members) {
		for _, field := range []struct {
			name string
			at   int64
		}{
			{"name", 10}, {"mode", 102}, {"size", 130}, {"mtime", 140}, {"checksum", 150}, {"type", 156}, {"magic", 258}, {"content", 512 + 9}, {"padding", 1023},
		} {
			at := field.at
			if member.First != archive.NoEntry {
				at += int64(member.First)
			}
			if at >= member.TarSize {
				continue
			}
			what := fmt.Sprintf("member at %d: %s", member.File, field.name)
			mustPut(t, path, indextest.Reworked(t, whole, member, func(tar []byte) { tar[at] ^= 4 }))
			mustPut(t, u.Index(), known)
			got, fits := mustContents(t, u)
			report := mustVerify(t, u)
			if report.Err() == nil {
				t.Errorf("%s: verify finds nothing", what)
			}
			damaged := namedIn(report)
			for name, w := range want {
				g, ok := got[name]
				hit := w.Tar < member.End().Tar && w.Tar+int64(len(w.Bytes)) > member.Tar
				if ok && g.Err == nil && bytes.Equal(g.Bytes, w.Bytes) || !fits { // the last marker: the run is gone
					continue
				}
				if _, named := slices.BinarySearch(damaged, name); !hit || !named {
					t.Errorf("%s: %s is not what it was: hit %t, named %t: %v", what, name, hit, named, g.Err)
				}
			}
			if n++; n%stride() > 0 {
				continue
			}
			if !fits {
				damaged = slices.Collect(maps.Keys(want))
			}
			repaired(t, u, what, path, want, damaged, report.Damage() > 0)
		}
	}
}
