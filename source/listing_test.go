package source_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"backupfs/cyrus"
	"backupfs/internal/cyruslab"
	"backupfs/source"
)

// mustServer has a user alice with INBOX (5 messages) and Work.
func mustServer(t *testing.T, o cyruslab.Options) *cyruslab.Lab {
	t.Helper()
	lab := cyruslab.Start(t, o)
	lab.MustAddUsers(t, "alice")
	c := lab.MustLogin(t, "alice")
	cyruslab.Must(t, c.Create("INBOX.Work"))
	for n := range 5 {
		cyruslab.Must(t, c.Append("INBOX", fmt.Appendf(nil, "Subject: %d\r\n\r\nhello\r\n", n), time.Time{}))
	}
	return lab
}

// bare are mailboxes without their fingerprints, which count some time after a change.
func bare(boxes []source.Mailbox) []source.Mailbox {
	boxes = slices.Clone(boxes)
	for i := range boxes {
		boxes[i].Fingerprint = ""
	}
	return boxes
}

func mustMailboxes(t *testing.T, l *source.Local) []source.Mailbox {
	t.Helper()
	boxes, err := l.Mailboxes(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	return boxes
}

// TestToolFails: where ctl_mboxlist cannot be had or is not to be believed, the spool tells, and why is known.
func TestToolFails(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	want := bare(mustMailboxes(t, mustOpen(t, lab, "")))
	for name, c := range map[string]struct{ script, problem string }{
		"fails":   {"echo no such thing >&2; exit 75", "no such thing"},
		"rubbish": {"echo '{'", "mailboxes"},
		"empty":   {"echo '{ }'", "knows no mailbox"},
		"absent":  {"", "no such file"},
	} {
		tool := filepath.Join(lab.Dir, "tool-"+name)
		if c.script != "" {
			cyruslab.Must(t, os.WriteFile(tool, []byte("#!/bin/sh\n"+c.script+"\n"), 0o755), os.Chmod(tool, 0o755))
		}
		l := mustOpen(t, lab, tool)
		if got := bare(mustMailboxes(t, l)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if by, problems := l.Listing(); by != source.BySpool || len(problems) != 1 || !strings.Contains(problems[0].Error(), c.problem) {
			t.Errorf("%s: by %s, %v", name, by, problems)
		}
	}
}

// TestOldList: a list in the text form of 3.4 and before has no UniqueIDs; the headers have.
func TestOldList(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{LegacyDirs: true})
	want := bare(mustMailboxes(t, mustOpen(t, lab, "")))
	tool := filepath.Join(lab.Dir, "old")
	cyruslab.Must(t, os.WriteFile(tool, []byte("#!/bin/sh\nprintf 'user.alice\\t0 default alice\\tlrswipkxtecda\\t\\nuser.alice.Work\\t0 default alice\\tlrs\\t\\n'\n"), 0o755), os.Chmod(tool, 0o755))
	l := mustOpen(t, lab, tool)
	for i := range want {
		want[i].Mailbox.Before36 = true
	}
	if got := bare(mustMailboxes(t, l)); !reflect.DeepEqual(got, want) || got[0].UniqueID == "" {
		t.Errorf("%v, want %v", got, want)
	}
	if by, problems := l.Listing(); by != source.ByMboxlist || len(problems) > 0 {
		t.Error(by, problems)
	}
}

// TestSpoolProblems: what cannot be named is told and leaves the others alone; a partition that is not there is an error.
func TestSpoolProblems(t *testing.T) {
	for _, legacy := range []bool{false, true} {
		lab := mustServer(t, cyruslab.Options{LegacyDirs: legacy, SecondPartition: true})
		conf, err := cyrus.LoadConfig(lab.Conf)
		cyruslab.Must(t, err)
		boxes := mustMailboxes(t, mustOpen(t, lab, ""))
		work, err := conf.Paths(boxes[1].Mailbox)
		cyruslab.Must(t, err)
		whole, err := os.ReadFile(work.Header)
		cyruslab.Must(t, err)

		// A copy of a mailbox where none of this UniqueID can be, and one on another partition.
		dir := lab.Dir + "/spool/lost/copy"
		copied := strings.Replace(work.Header, lab.Dir+"/spool/", lab.Dir+"/spool2/", 1)
		cyruslab.Must(t, os.MkdirAll(dir, 0o700), os.WriteFile(dir+"/cyrus.header", whole, 0o600),
			os.MkdirAll(filepath.Dir(copied), 0o700), os.WriteFile(copied, whole, 0o600))
		l := mustOpen(t, lab, source.NoMboxlist)
		if got := mustMailboxes(t, l); len(got) != 2 || got[0].Mailbox != boxes[0].Mailbox || got[1].Mailbox != boxes[1].Mailbox {
			t.Errorf("legacy %v: %v, want %v", legacy, got, boxes)
		}
		_, problems := l.Listing()
		if said := fmt.Sprint(problems); len(problems) != 2 || !strings.Contains(said, dir) || !strings.Contains(said, copied) {
			t.Errorf("legacy %v: %v", legacy, problems)
		}
		cyruslab.Must(t, os.RemoveAll(lab.Dir+"/spool/lost"), os.Remove(copied))

		cyruslab.Must(t, os.WriteFile(work.Header, whole[:len(whole)/2], 0o600))
		l = mustOpen(t, lab, source.NoMboxlist)
		got := mustMailboxes(t, l)
		if legacy { // its path names it
			if len(got) != 2 || got[1].Archived != "INBOX.Work" {
				t.Errorf("damaged header: %v", got)
			}
		} else if _, problems := l.Listing(); len(got) != 1 || len(problems) != 1 || !strings.Contains(problems[0].Error(), work.Header) {
			t.Errorf("damaged header: %v, %v", got, problems)
		}
		if _, err := mustOpen(t, lab, "").Fetch(t.Context(), boxes[1], nothing, nil); err == nil || !strings.Contains(err.Error(), work.Header) {
			t.Errorf("a damaged header: %v", err)
		}

		cyruslab.Must(t, os.RemoveAll(lab.Dir+"/spool2"))
		if _, err := mustOpen(t, lab, source.NoMboxlist).Users(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "spool2") {
			t.Errorf("no partition: %v", err)
		}
	}
}

func nothing(*cyrus.Index, *cyrus.Record) bool    { return false }
func everything(*cyrus.Index, *cyrus.Record) bool { return true }

// TestNotGone: files that are not there do not mean that the server deleted the mailbox.
func TestNotGone(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	for _, tool := range []string{"", source.NoMboxlist} {
		l := mustOpen(t, lab, tool)
		boxes := mustMailboxes(t, l)
		spool := lab.Dir + "/spool"
		cyruslab.Must(t, os.Rename(spool, spool+".unmounted"), os.Mkdir(spool, 0o700))
		if _, err := l.Fetch(t.Context(), boxes[0], nothing, nil); err == nil || errors.Is(err, source.ErrGone) || !strings.Contains(err.Error(), "mounted") {
			t.Errorf("partition is not mounted: %v", err)
		}
		cyruslab.Must(t, os.Remove(spool), os.Rename(spool+".unmounted", spool))
	}
	l := mustOpen(t, lab, "")
	boxes := mustMailboxes(t, l)
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	p, err := conf.Paths(boxes[1].Mailbox)
	cyruslab.Must(t, err, os.RemoveAll(p.Data))
	if _, err := l.Fetch(t.Context(), boxes[1], nothing, nil); err == nil || errors.Is(err, source.ErrGone) || !strings.Contains(err.Error(), "the server knows it") {
		t.Errorf("folder is lost: %v", err)
	}
}

// TestHeaderOfOtherIndex: a header that the index does not vouch for is taken as it is found.
func TestHeaderOfOtherIndex(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	l := mustOpen(t, lab, "")
	inbox := mustMailboxes(t, l)[0]
	conf, err := cyrus.LoadConfig(lab.Conf)
	cyruslab.Must(t, err)
	p, err := conf.Paths(inbox.Mailbox)
	cyruslab.Must(t, err)
	b, err := os.ReadFile(p.Header)
	other := strings.Replace(string(b), "lrswip", "lrswpi", 1)
	cyruslab.Must(t, err, os.WriteFile(p.Header, []byte(other), 0o600))
	snap, err := l.Fetch(t.Context(), inbox, nothing, nil)
	if err != nil || string(snap.Files[1].Data) != other || other == string(b) || len(snap.Problems) > 0 {
		t.Errorf("%v, %+v", err, snap)
	}
}

// TestFewDescriptors: where fewer files may be open than MaxPins says, it takes more rounds.
func TestFewDescriptors(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	c := lab.MustLogin(t, "alice")
	for n := range 100 {
		cyruslab.Must(t, c.Append("INBOX", fmt.Appendf(nil, "Subject: more %d\r\n\r\nhello\r\n", n), time.Time{}))
	}
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf, MaxPins: 100_000})
	cyruslab.Must(t, err)
	inbox := mustMailboxes(t, l)[0]
	var limit unix.Rlimit
	cyruslab.Must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	t.Cleanup(func() { cyruslab.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) })
	cyruslab.Must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: limit.Max}))
	n := 0
	snap, err := l.Fetch(t.Context(), inbox, everything, func(m source.Message) error { n++; return nil })
	if err != nil || n != 105 || snap.Index.Exists != 105 || len(snap.Missing) > 0 {
		t.Errorf("%v, %d delivered, %+v", err, n, snap)
	}
}

// TestListAge: a list serves for longer than its age as long as mailboxes.db is the same.
func TestListAge(t *testing.T) {
	lab := mustServer(t, cyruslab.Options{})
	tool := filepath.Join(lab.Dir, "counted")
	script := "#!/bin/sh\necho >>" + lab.Dir + "/spool/count\nexec /usr/lib/cyrus/bin/ctl_mboxlist \"$@\"\n"
	cyruslab.Must(t, os.WriteFile(tool, []byte(script), 0o755), os.Chmod(tool, 0o755), os.Chmod(lab.Dir+"/spool", 0o777))
	l, err := source.OpenLocal(t.Context(), source.LocalOptions{ConfigPath: lab.Conf, MboxlistCommand: tool, MaxListAge: 1})
	cyruslab.Must(t, err)
	made := func() int {
		t.Helper()
		mustMailboxes(t, l)
		b, err := os.ReadFile(lab.Dir + "/spool/count")
		cyruslab.Must(t, err)
		return len(b)
	}
	time.Sleep(100 * time.Millisecond) // a fingerprint counts
	if first, again := made(), made(); first != 1 || again != 1 {
		t.Errorf("made %d lists, then %d", first, again)
	}
	cyruslab.Must(t, lab.MustLogin(t, "alice").Create("INBOX.New"))
	if boxes, n := mustMailboxes(t, l), made(); n < 2 || !slices.ContainsFunc(boxes, func(m source.Mailbox) bool { return m.Archived == "INBOX.New" }) {
		t.Errorf("after a change: %d lists, %v", n, boxes)
	}
}
