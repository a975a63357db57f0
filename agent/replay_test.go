package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"backupfs/agent"
	"backupfs/internal/testenv"
	"backupfs/source"
)

// The namespaces of the servers that the dialogues were recorded on, as INDEX.txt calls them.
var namespaces = map[string][2]string{ // altnamespace, unixhierarchysep
	"altnamespace off, separator .":           {"no", "no"},
	"altnamespace off, separator /":           {"no", "yes"},
	"defaults (altnamespace on, separator /)": {"yes", "yes"},
}

// differences are the dialogues that we answer otherwise than backupcyrusd did, on purpose (docs/agent.md).
var differences = map[string]struct {
	why  string
	want func(t *testing.T, dir string) string
}{
	"12": {"a mailbox without an external name is left out; backupcyrusd died of it", func(t *testing.T, dir string) string {
		var b strings.Builder
		for line := range strings.Lines(string(mustRead(t, filepath.Join(dir, "13.response")))) {
			if !strings.Contains(line, " DELETED%2F") {
				b.WriteString(strings.Replace(line, " INBOX%2F", " ", 1))
			}
		}
		return b.String()
	}},
	"28": {"a request short of its server name is answered; backupcyrusd waited for the next line", badCommand},
	"52": {"the same, an empty line", badCommand},
	"30": {"no mailbox is served to a user whose it is not", func(*testing.T, string) string {
		return "NO no such folder user.brong.Mailing%20Lists\n"
	}},
}

func badCommand(*testing.T, string) string { return "NO bad command\n" }

// TestRecorded replays every recorded dialogue with backupcyrusd 3.13 against the spool that it was recorded on. Inodes differ from one
// copy of a spool to another, and nothing else may.
func TestRecorded(t *testing.T) {
	fixtures := filepath.Join(testenv.Fixtures(t), "cyrus313")
	wire := filepath.Join(fixtures, "wire")
	root := mustUnpack(t, filepath.Join(fixtures, "spool/run3.tar.gz"))
	conf := strings.ReplaceAll(string(mustRead(t, filepath.Join(fixtures, "spool/imapd.conf"))), "@ROOT@", root)
	for _, list := range []string{source.ByMboxlist, source.BySpool} {
		servers := map[string]string{}
		for name, values := range namespaces {
			file := filepath.Join(root, strings.Join(values[:], "-")+".conf")
			text := regexp.MustCompile(`(?m)^(altnamespace|unixhierarchysep):.*\n`).ReplaceAllString(conf, "") +
				fmt.Sprintf("altnamespace: %s\nunixhierarchysep: %s\n", values[0], values[1])
			must(t, os.WriteFile(file, []byte(text), 0o644))
			o := source.LocalOptions{ConfigPath: file}
			if list == source.BySpool {
				o.MboxlistCommand = source.NoMboxlist
			}
			src := mustOpen(t, o)
			servers[name] = mustServe(t, src, agent.Options{})
			t.Cleanup(func() {
				if by, problems := src.Listing(); by != list || len(problems) > 0 {
					t.Errorf("listed by %s: %v", by, problems)
				}
			})
		}
		replayed := 0
		for line := range strings.Lines(string(mustRead(t, filepath.Join(wire, "INDEX.txt")))) {
			f := strings.Split(line, "\t")
			if _, err := strconv.Atoi(f[0]); err != nil {
				continue
			}
			number, namespace := f[0], f[1]
			replayed++
			t.Run(list+" "+number, func(t *testing.T) {
				request := mustRead(t, filepath.Join(wire, number+".request"))
				want := mustRead(t, filepath.Join(wire, number+".response"))
				if d, ok := differences[number]; ok {
					want = []byte(d.want(t, wire))
				}
				got := mustAsk(t, servers[namespace], request)
				if got, want := withoutInodes(got), withoutInodes(want); !bytes.Equal(got, want) {
					t.Errorf("%s: %q\ngot  %.2000q\nwant %.2000q", f[2], request, got, want)
				}
			})
		}
		if requests, err := filepath.Glob(filepath.Join(wire, "*.request")); err != nil || len(requests) != replayed || replayed == 0 {
			t.Errorf("%d dialogues replayed, there are %d: %v", replayed, len(requests), err)
		}
	}
}

var fileLine = regexp.MustCompile(`^(STAT .*|DATA [^ ]* (\d+)) (-?\d+) \d+\n$`)

// withoutInodes replaces the inode of each STAT and DATA line. What a file holds is left as it is.
func withoutInodes(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n') + 1
		if end == 0 {
			return append(out, b...)
		}
		line := b[:end]
		b = b[end:]
		m := fileLine.FindSubmatch(line)
		if m == nil {
			out = append(out, line...)
			continue
		}
		out = fmt.Appendf(out, "%s %s INODE\n", m[1], m[3])
		size, _ := strconv.Atoi(string(m[2])) // 0 for STAT
		size = min(size, len(b))
		out = append(out, b[:size]...)
		b = b[size:]
	}
	return out
}
