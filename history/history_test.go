package history_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"backupfs/archive"
	"backupfs/cyrus"
	"backupfs/history"
	"backupfs/index"
	"backupfs/index/indextest"
	"backupfs/internal/store"
	"backupfs/internal/testenv"
	"backupfs/match"
)

// shown is a message that IMAP showed in a run.
type shown struct {
	history.Place
	id      string // of its folder
	guid    cyrus.GUID
	flagged bool
	date    int64
}

func (m shown) flags() []string {
	if m.flagged {
		return []string{`\Flagged`}
	}
	return []string{}
}

func deleted(f indextest.Folder) bool { return strings.HasPrefix(f.Name, "DELETED.") }

func pathOf(f indextest.Folder) string { return strings.Join(cyrus.TreePath(f.Name), "/") }

// shownIn is what a tree has of a run; with is whether that of deleted folders counts.
func shownIn(s *indextest.Server, run int, with bool) (all []shown) {
	for _, f := range s.History[run].Run.Folders {
		if deleted(f) && !with {
			continue
		}
		for i, m := range f.Messages {
			if guid := s.History[run].GUIDs[f.UniqueID][i]; !m.Unlinked && !m.Expunged && s.Has(guid) {
				all = append(all, shown{history.Place{Folder: pathOf(f), UID: m.UID}, f.UniqueID, guid, m.Flags&cyrus.FlagFlagged != 0, m.Date})
			}
		}
	}
	return all
}

// TestHistory: whatever a server did, what is said of it is what a plain model says.
func TestHistory(t *testing.T) {
	root := indextest.Store(t)
	n := 0
	testenv.Check(t, func(r *rapid.T) {
		tb := indextest.Rapid(t, r)
		n++
		u := store.User{Name: "brong", Dir: filepath.Join(root, fmt.Sprint(n))}
		if err := os.Mkdir(u.Dir, 0o700); err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(u.Dir)
		s := indextest.NewServer()
		var runs []indextest.Run
		for range rapid.IntRange(1, 6).Draw(r, "runs") {
			for range rapid.IntRange(0, 8).Draw(r, "changes") {
				s.Change(r)
			}
			runs = append(runs, s.Run())
		}
		indextest.Archive(tb, u.Dir, runs...)
		if n%8 == 0 { // it does without
			if err := os.Remove(u.Index()); err != nil {
				r.Fatal(err)
			}
		}
		p, err := history.Open(t.Context(), u)
		if err != nil {
			r.Fatal(err)
		}
		defer p.Close()
		compareDiff(tb, p, s, rapid.IntRange(0, len(runs)-1).Draw(r, "from"), rapid.IntRange(0, len(runs)-1).Draw(r, "to"))
		compareFound(tb, p, s)
		compareVersions(tb, p, s)
		if len(p.Damaged) > 0 {
			r.Error(p.Damaged)
		}
	})
}

func compareDiff(t testing.TB, p *history.Past, s *indextest.Server, a, b int) {
	d, err := p.Diff(t.Context(), a+1, b+1)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	folders := func(run int) map[string]string {
		paths := map[string]string{}
		for _, f := range s.History[run].Run.Folders {
			if !deleted(f) {
				paths[f.UniqueID] = pathOf(f)
			}
		}
		return paths
	}
	was, is := folders(a), folders(b)
	for id, path := range was {
		switch now, ok := is[id]; {
		case !ok:
			want = append(want, fmt.Sprint("folder went ", path))
		case now != path:
			want = append(want, fmt.Sprint("folder renamed ", path, now))
		}
	}
	for id, path := range is {
		if _, ok := was[id]; !ok {
			want = append(want, fmt.Sprint("folder came ", path))
		}
	}
	for _, f := range d.Folders {
		got = append(got, fmt.Sprint("folder ", f.Kind, " ", f.From, f.To))
	}

	// Of the same bytes, which went where is a matter of taste; so a move counts as both.
	after := map[string]shown{}
	key := func(m shown) string { return fmt.Sprint(m.id, m.UID, m.guid) }
	for _, m := range shownIn(s, b, false) {
		after[key(m)] = m
	}
	came, went := map[string]int{}, map[string]int{} // by digest
	for _, m := range shownIn(s, a, false) {
		now, stays := after[key(m)]
		delete(after, key(m))
		if !stays {
			want = append(want, fmt.Sprint("went ", m.Place))
			went[m.guid.String()]++
		} else if now.flagged != m.flagged {
			want = append(want, fmt.Sprint("flags ", m.Place, now.Place, now.flags(), m.flags()))
		}
	}
	for _, m := range after {
		want = append(want, fmt.Sprint("came ", m.Place))
		came[m.guid.String()]++
	}
	moved := map[string]int{}
	for _, c := range d.Messages {
		if c.Kind == history.Flagged {
			got = append(got, fmt.Sprint("flags ", c.From, c.To, c.Added, c.Removed))
			continue
		}
		if c.Kind != history.Came {
			got = append(got, fmt.Sprint("went ", c.From))
		}
		if c.Kind != history.Went {
			got = append(got, fmt.Sprint("came ", c.To))
		}
		if c.Kind == history.Moved {
			moved[c.Message.GUID.String()]++
		}
	}
	compare(t, fmt.Sprintf("from run %d to %d", a+1, b+1), got, want)
	for guid := range came {
		if moved[guid] != min(came[guid], went[guid]) {
			t.Errorf("from run %d to %d: of %d that went and %d that came, %d moved", a+1, b+1, went[guid], came[guid], moved[guid])
		}
	}
}

func dates(s *indextest.Server) []string {
	all := make([]archive.Run, len(s.History))
	for i, h := range s.History {
		all[i].Begun = h.Run.Begun
	}
	return index.DateNames(all, time.UTC)
}

func compareFound(t testing.TB, p *history.Past, s *indextest.Server) {
	known := map[string]bool{} // folders that a user knew
	for _, h := range s.History {
		for _, f := range h.Run.Folders {
			known[f.UniqueID] = known[f.UniqueID] || !deleted(f)
		}
	}
	first, last := map[string]int{}, map[string]int{}
	then := map[string]shown{}
	for run := range s.History {
		for _, m := range shownIn(s, run, true) {
			key := fmt.Sprint(m.id, m.UID, m.guid)
			if known[m.id] && strings.HasPrefix(m.Folder, ".deleted/") {
				continue
			}
			if _, ok := first[key]; !ok {
				first[key] = run
			}
			last[key], then[key] = run, m
		}
	}
	names := dates(s)
	for text, holds := range map[string]func(shown) bool{
		"smaller:1MB":                           func(shown) bool { return true },
		"flag:flagged":                          func(m shown) bool { return m.flagged },
		"since:2009-09-28T22:08:33 subject:two": func(m shown) bool { return m.date >= 1254175713 && strings.Contains(s.Bodies[m.guid], "Subject: two") },
	} {
		e, err := match.Parse(text, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		found, err := p.Find(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, f := range found {
			got = append(got, fmt.Sprint(f.Place, f.Message.GUID, f.First, f.Last, f.Message.InternalDate))
		}
		for key, m := range then {
			if holds(m) {
				want = append(want, fmt.Sprint(m.Place, m.guid, names[first[key]], names[last[key]], m.date))
			}
		}
		compare(t, text, got, want)
	}
}

func compareVersions(t testing.TB, p *history.Past, s *indextest.Server) {
	names := dates(s)
	moments := map[cyrus.GUID][]string{}
	guids := map[history.Place]map[cyrus.GUID]bool{}
	for run := range s.History {
		for _, m := range shownIn(s, run, true) {
			moments[m.guid] = append(moments[m.guid], fmt.Sprint(names[run], m.Place, m.flags()))
			if guids[m.Place] == nil {
				guids[m.Place] = map[cyrus.GUID]bool{}
			}
			guids[m.Place][m.guid] = true
		}
	}
	for place, want := range guids {
		versions, err := p.Versions(t.Context(), place.Folder, place.UID)
		if err != nil || len(versions) != len(want) {
			t.Fatalf("%v: %d versions, want %d: %v", place, len(versions), len(want), err)
		}
		for _, v := range versions {
			var got []string
			for i, st := range v.Stood {
				from, to := slices.Index(names, st.First), slices.Index(names, st.Last)
				if to-from+1 != st.Dates {
					t.Errorf("%v: %+v", place, st)
				}
				for _, name := range names[from : to+1] {
					got = append(got, fmt.Sprint(name, st.Place, st.Flags))
				}
				for _, other := range v.Stood[:i] {
					if other.Place == st.Place && slices.Equal(other.Flags, st.Flags) && slices.Index(names, other.Last)+1 == from {
						t.Errorf("%v: %+v goes on as %+v", place, other, st)
					}
				}
			}
			compare(t, fmt.Sprint(place), got, moments[v.Message.GUID])
		}
	}
	if _, err := p.Versions(t.Context(), "INBOX/never", 1); !errors.Is(err, history.ErrNoFolder) {
		t.Error(err)
	}
}

func compare(t testing.TB, what string, got, want []string) {
	sort.Strings(got)
	sort.Strings(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRun: dates are found as people name them.
func TestRun(t *testing.T) {
	p := &history.Past{}
	for _, begun := range []string{"2009-09-27T23:55:00Z", "2009-09-28T11:05:00Z", "2009-09-28T23:55:00Z"} {
		at, err := time.Parse(time.RFC3339, begun)
		if err != nil {
			t.Fatal(err)
		}
		p.Runs = append(p.Runs, index.Run{Run: archive.Run{}})
		p.Runs[len(p.Runs)-1].Begun, p.Runs[len(p.Runs)-1].Run.Run = at, len(p.Runs)
	}
	for i, date := range []string{"2009-09-27", "2009-09-28T1105Z", "2009-09-28"} {
		p.Runs[i].Date = date
	}
	now := time.Date(2009, 9, 28, 1, 0, 0, 0, time.FixedZone("", -3600))
	for text, want := range map[string]int{
		"latest": 3, "2009-09-28": 3, "today": 3, "yesterday": 1, "2009-09-27": 1, "2009-09-28T1105Z": 2, "2009-09-28T2355Z": 3, "2009-09-27T235500Z": 1,
		"2009-09-26": 0, "tomorrow": 0, "": 0,
	} {
		r, err := p.Run(text, now)
		if r.Run.Run != want || (want == 0) != errors.Is(err, history.ErrNoDate) {
			t.Errorf("%q is run %d, not %d: %v", text, r.Run.Run, want, err)
		}
	}
}
