package backup

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
)

func mustRepair(t *testing.T, u store.User) *Repaired {
	t.Helper()
	res, err := Repair(context.Background(), u, RepairOptions{Write: true, Append: archive.AppendOptions{Workers: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestRepairAndBackUp: after a repair the next run stores again what the server still has, and then every message is there at all dates;
// also where nothing but the index was left.
func TestRepairAndBackUp(t *testing.T) {
	testenv.SetMemory(t)
	for what, spoil := range map[string]func(b []byte, members []archive.Member) []byte{
		"every member but the markers": func(b []byte, members []archive.Member) []byte {
			for _, m := range members {
				if !m.Marker {
					b[m.File+m.FileSize/2+20] ^= 0x55
				}
			}
			return b
		},
		"every marker": func(b []byte, members []archive.Member) []byte {
			for _, m := range members {
				if m.Marker {
					b[m.File+m.FileSize/2+20] ^= 0x55
				}
			}
			return b
		},
		"the end is cut off":    func(b []byte, members []archive.Member) []byte { return b[:len(b)/2] },
		"the start is cut off":  func(b []byte, members []archive.Member) []byte { return b[len(b)/2:] },
		"nothing is left of it": func([]byte, []archive.Member) []byte { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			m, members := damageable(t)
			u, path := m.user(t), mustArchive(t, m)
			mustPut(t, path, spoil(mustRead(t, path), members))
			if len(mustRead(t, path)) == 0 {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			res := mustRepair(t, u)
			if (len(res.Lost) > 0) != (what != "every marker") || res.Runs != 3 {
				t.Errorf("%+v", res)
			}
			if _, err := m.try(context.Background()); err != nil {
				t.Fatal(err)
			}
			got, _ := mustContents(t, u)
			for _, d := range m.dates {
				for name, v := range d.folders {
					for _, msg := range v.msgs {
						if c := got[fmt.Sprintf("%s %s: message %d", d.run.Begun.Format("2006-01-02"), name, msg.rec.UID)]; c.Err != nil || !bytes.Equal(c.Bytes, msg.body) {
							t.Errorf("run %d: %s: message %d: %v", d.run.Run, name, msg.rec.UID, c.Err)
						}
					}
				}
			}
			if report := mustVerify(t, u); report.Err() != nil || report.Runs != 4 {
				t.Errorf("%v: %+v", report.Err(), report)
			}
		})
	}
}

// TestRepairRescues: of a member that is damaged in its middle, what stands before is neither named nor lost.
func TestRepairRescues(t *testing.T) {
	testenv.SetMemory(t)
	m, members := damageable(t)
	u, path := m.user(t), mustArchive(t, m)
	b := mustRead(t, path)
	for _, first := range members[:1] {
		b[first.File+first.FileSize*9/10] ^= 0x55
	}
	mustPut(t, path, b)
	damaged := mustVerify(t, u).Damaged
	in := holdersIn(t, u, func(from, _ int64) bool { return from < members[0].End().Tar })
	if res := mustRepair(t, u); len(res.Lost) != 1 || len(damaged) != 1 || len(in) < 8 {
		t.Errorf("%d are in the damaged member, damaged are %+v, lost are %+v", len(in), damaged, res.Lost)
	}
}

// TestRepairFaults has each durable operation of a repair go wrong in each way. Whatever it is, the user has one archive that shows all
// that is left: the damaged one as it was, or the repaired one; and the next repair, and the next run, succeed.
func TestRepairFaults(t *testing.T) {
	testenv.SetMemory(t)
	for kind, fault := range faults {
		t.Run(kind, func(t *testing.T) {
			for op, done := 0, false; !done; op++ {
				m := scenario(t, filepath.Join(t.TempDir(), "store"), func(_ rapid.TB, m *model) { m.run(t); m.run(t) })
				m.run(t)
				u, path := m.user(t), mustArchive(t, m)
				members := mustMembers(t, path)
				b := mustRead(t, path)
				b[members[0].File+members[0].FileSize/2] ^= 0x55
				mustPut(t, path, b)
				what, err := fault.at(op, func() error {
					_, err := Repair(context.Background(), u, RepairOptions{Write: true, Append: archive.AppendOptions{Workers: 1}})
					return err
				})
				if done = what == ""; (err == nil) != done {
					t.Errorf("%s: %v", what, err)
				}
				kept, err := filepath.Glob(filepath.Join(u.Dir, "backupdata-*"))
				if err != nil {
					t.Fatal(err)
				}
				if len(kept) == 0 || !bytes.Equal(mustRead(t, kept[0]), b) {
					t.Errorf("%s: the damaged archive is not kept: %q", what, kept)
				}
				mustRepair(t, u)
				if report := mustVerify(t, u); report.Err() != nil || report.Runs != 3 {
					t.Errorf("%s: %v: %+v", what, report.Err(), report)
				}
				if _, err := m.try(context.Background()); err != nil {
					t.Errorf("%s: the next run: %v", what, err)
				}
				if err := index.Check(context.Background(), mustArchive(t, m), u.Index()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// TestRepairForeign: of an archive of another tool, of which one member is damaged, the runs behind it are kept, and what comes out of
// the damaged one.
func TestRepairForeign(t *testing.T) {
	testenv.SetMemory(t)
	for _, known := range []bool{true, false} {
		st, err := store.Init(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			t.Fatal(err)
		}
		u, err := st.User("brong")
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Make(); err != nil {
			t.Fatal(err)
		}
		var whole []byte
		var starts []int
		var msgs []indextest.Message
		for run := range 3 {
			for i := range 4 {
				msgs = append(msgs, indextest.Message{UID: uint32(4*run + i + 1), Body: strings.Repeat(fmt.Sprintf("run %d message %d ", run, i), 300)})
			}
			starts = append(starts, len(whole))
			whole = append(whole, foreignRun(t, indextest.Folder{UniqueID: "id", Name: "INBOX", Messages: msgs}, 4*run, int64(1254000000+86400*run))...)
		}
		path := filepath.Join(u.Dir, "backupdata-1254000000.tar.gz")
		mustPut(t, path, whole)
		if err := index.Rebuild(context.Background(), path, u.Index(), nil); err != nil {
			t.Fatal(err)
		}
		want, _ := mustContents(t, u)
		if !known {
			if err := os.Remove(u.Index()); err != nil {
				t.Fatal(err)
			}
		}
		bad := bytes.Clone(whole)
		bad[(starts[1]+starts[2])/2] ^= 0x55
		mustPut(t, path, bad)
		res := mustRepair(t, u)
		got, _ := mustContents(t, u)
		dates := 2
		if known {
			dates = 3
		}
		if res.Runs != dates {
			t.Errorf("index known: %t: %+v", known, res)
		}
		lost := 0
		for name, w := range want {
			if g, ok := got[name]; known && (!ok || g.Err != nil) {
				lost++
			} else if ok && g.Err == nil && strings.Contains(name, "message") && !bytes.Equal(g.Bytes, w.Bytes) {
				t.Errorf("%s has other bytes", name)
			}
		}
		for _, name := range []string{"2009-09-26 INBOX: message 2", "2009-09-28 INBOX: message 1", "2009-09-28 INBOX: message 5", "2009-09-28 INBOX: message 12"} {
			if g, ok := got[name]; !ok || g.Err != nil {
				t.Errorf("index known: %t: %s: %v", known, name, g.Err)
			}
		}
		if known && (lost == 0 || lost > 8) {
			t.Errorf("%d are lost", lost)
		}
		if report := mustVerify(t, u); report.Err() != nil {
			t.Errorf("%v: %+v", report.Err(), report)
		}
	}
}

// foreignRun is a run as another tool writes it: messages from the nth on, index, link, in one gzip member.
func foreignRun(t *testing.T, f indextest.Folder, from int, begun int64) []byte {
	t.Helper()
	app, err := archive.Create(t.TempDir(), time.Unix(begun, 0), archive.AppendOptions{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	add := func(name, content string) {
		t.Helper()
		e := archive.Entry{Name: name, Linkname: fmt.Sprintf("%x", sha1.Sum([]byte(content))), Type: archive.TypeFile, Size: int64(len(content)), Mtime: begun}
		if _, err := app.Add(e, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range f.Messages[from:] {
		add("files/"+m.GUID(f).String(), m.Body)
	}
	add("folders/"+f.UniqueID+"/cyrus.index", string(f.Index(t)))
	add("folders/"+f.UniqueID+"/cyrus.header", string(f.Header()))
	if _, err := app.Add(archive.Entry{Name: "imap/" + f.Name + "/", Linkname: f.UniqueID, Type: archive.TypeLink, Mtime: begun}, nil); err != nil {
		t.Fatal(err)
	}
	run, err := app.Finish(archive.Marker{})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(mustRead(t, app.Path())))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	_, err = io.CopyN(zw, zr, run.Offset)
	if err := errors.Join(err, zw.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
