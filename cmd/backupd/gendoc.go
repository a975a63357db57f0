package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
)

// newGendoc prints docs/cli.md, so that it cannot drift from the help.
func newGendoc() *cobra.Command {
	return &cobra.Command{
		Use:    "gendoc",
		Short:  "Print docs/cli.md",
		Hidden: true,
		Args:   cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runGendoc(cmd.Root(), cmd.OutOrStdout())
		},
	}
}

func runGendoc(root *cobra.Command, out io.Writer) error {
	var b strings.Builder
	b.WriteString("# The command line of backupd\n\nMade by `make docs` from the commands' own help; do not edit. For `backupfs` see `backupfs -h`.\n")
	b.WriteString("\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
	for _, c := range cli.Codes {
		fmt.Fprintf(&b, "| %d | %s |\n", c.Code, c.Meaning)
	}
	b.WriteString(`
Scripts: take a code that is not in this table for a failure. An error is one line on stderr, ` + "`backupd: …`" + `, and at most one
line ` + "`hint: …`" + ` with a command that helps. With ` + "`--json`" + ` it is an object with the keys ` + "`error`, `code` and perhaps `hint`" + `.
`)
	for _, cmd := range root.Commands() {
		genVerb(&b, cmd)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func genVerb(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || !cmd.IsAvailableCommand() {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), cmd.Long, cmd.UseLine())
	if flags := cmd.LocalFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\n```\n%s```\n", flags)
	}
	fmt.Fprintf(b, "\nExamples:\n\n```\n%s\n```\n", unindent(cmd.Example))
	for _, sub := range cmd.Commands() {
		genVerb(b, sub)
	}
}

func unindent(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "  "), "\n  ", "\n")
}
