// Mkman writes the man pages of the two programs from what there is already: their help, docs/cli.md, docs/recovery.md.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	bin := flag.String("bin", "bin", "the folder with the programs")
	docs := flag.String("docs", "docs", "the folder with cli.md and recovery.md")
	out := flag.String("out", "bin/man/man1", "the folder for the pages, which is made")
	flag.Parse()
	if err := write(*bin, *docs, *out); err != nil {
		fmt.Fprintln(os.Stderr, "mkman:", err)
		os.Exit(1)
	}
}

func write(bin, docs, out string) error {
	cli, err := os.ReadFile(filepath.Join(docs, "cli.md"))
	if err != nil {
		return err
	}
	recovery, err := os.ReadFile(filepath.Join(docs, "recovery.md"))
	if err != nil {
		return err
	}
	help, err := exec.Command(filepath.Join(bin, "backupfs"), "--help").Output()
	if err != nil {
		return fmt.Errorf("backupfs --help: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	daemon := page{name: "backupd", about: "back Cyrus users up into a store of archives, and bring mail back", synopsis: "backupd VERB [FLAGS] [ARGUMENTS]"}
	_, verbs, _ := strings.Cut(string(cli), "\n## ") // before, it says how it was made
	daemon.markdown("## "+verbs, sections)
	daemon.section("RECOVERY")
	daemon.markdown(string(recovery), subsections)
	daemon.section("SEE ALSO")
	daemon.text("backupfs(1), reconstruct(8), unexpunge(8)")
	mount := page{name: "backupfs", about: "mount a store of backups as a tree of dates", synopsis: "backupfs [-f] [-o OPTIONS] STORE MOUNTPOINT"}
	mount.section("DESCRIPTION")
	mount.markdown(string(help), sections)
	mount.section("SEE ALSO")
	mount.text("backupd(1), whose section RECOVERY brings mail back from the mount; mount(8), rsync(1), umount(8)")
	for _, p := range []page{daemon, mount} {
		if err := os.WriteFile(filepath.Join(out, p.name+".1"), []byte(p.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// page is a man page that grows.
type page struct {
	name, about, synopsis string
	b                     strings.Builder
}

func (p *page) String() string {
	return fmt.Sprintf(".TH %s 1\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", strings.ToUpper(p.name), p.name, escape(p.about), escape(p.synopsis)) + p.b.String()
}

func (p *page) section(title string) { fmt.Fprintf(&p.b, ".SH \"%s\"\n", escape(title)) }

func (p *page) text(line string) { p.b.WriteString(inline(line) + "\n") }
