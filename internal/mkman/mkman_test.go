package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPages: roff has nothing to say against the pages, and shows what is looked for in them.
func TestPages(t *testing.T) {
	bin, out := t.TempDir(), t.TempDir()
	if b, err := exec.Command("go", "build", "-o", bin, "backupfs/cmd/backupfs").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if err := write(bin, "../../docs", out); err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"backupd.1":  {"\nRECOVERY\n", "\nBACKUPD RESTORE\n", "\n       --date DATE\n", "\n       5      damaged data found\n", `rsync -a --exclude='*/' "$day/INBOX/Contracts/" "$dir/"`},
		"backupfs.1": {"\nSYNOPSIS\n       backupfs [-f] [-o OPTIONS] STORE MOUNTPOINT\n", "\n       cachedir=DIR\n", "/srv/backup  /mnt/backup  fuse.backupfs"},
	} {
		cmd := exec.Command("groff", "-man", "-Kutf8", "-Tutf8", "-P-cbou", "-ww", filepath.Join(out, name))
		var said strings.Builder
		cmd.Stderr = &said
		shown, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, said.String())
		}
		for _, want := range wants {
			if !strings.Contains(string(shown), want) {
				t.Errorf("%s does not show %q", name, want)
			}
		}
	}
}

// TestMarkdown: what documents are made of.
func TestMarkdown(t *testing.T) {
	var p page
	p.markdown("# Title\n\n## One\n\n.a `b-c` **d** [e](#f) \\\n* item\n  goes on\n\n| x | y | z |\n|---|---|---|\n| 1 | 2 | 3 |\n\n```\n.code \"q\"\n```\n  -t, --term T   means\n                 more\n### Sub\n<!-- note -->\n", sections)
	want := ".PP\n.SH \"ONE\"\n.PP\n\\&.a \\fBb\\-c\\fR \\fBd\\fR e \\e\n.IP \\(bu 2\nitem\ngoes on\n.PP\n.TP\n1\ny: 2;\nz: 3\n.PP\n" +
		".PP\n.RS 2\n.nf\n\\&.code \\(dqq\\(dq\n.fi\n.RE\n.TP\n\\fB\\-t, \\-\\-term T\\fR\nmeans\nmore\n.SS \"Sub\"\n"
	if got := p.b.String(); got != want {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}
