package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
)

// output is how a command speaks: what it did on out, what is wrong on stderr, how far it is on the terminal. --quiet leaves what
// is wrong.
type output struct {
	quiet, json bool
	out, stderr io.Writer
	progress    *cli.Progress
}

func (o *output) addQuiet(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "say only what is wrong, on stderr: for cron")
}

func (o *output) addJSON(cmd *cobra.Command, usage string) {
	cmd.Flags().BoolVar(&o.json, "json", false, usage)
}

// start is called when the flags are known.
func (o *output) start(cmd *cobra.Command) error {
	o.out, o.stderr, o.progress = cmd.OutOrStdout(), cmd.ErrOrStderr(), cli.NewProgress(os.Stderr)
	if o.quiet && o.json {
		return cli.Usagef("--quiet leaves nothing of --json: use one of them")
	}
	if o.quiet {
		o.out, o.progress = io.Discard, cli.NewProgress(nil)
	}
	return nil
}

// say tells what was done.
func (o *output) say(format string, args ...any) {
	fmt.Fprintln(o.out, cli.Clean(fmt.Sprintf(format, args...)))
}

// note tells what is wrong, while the command goes on.
func (o *output) note(format string, args ...any) {
	o.progress.Clear()
	fmt.Fprintf(o.stderr, "backupd: %s\n", cli.Clean(fmt.Sprintf(format, args...)))
}

// hint says what helps against what was noted.
func (o *output) hint(format string, args ...any) {
	fmt.Fprintf(o.stderr, "hint: %s\n", cli.Clean(fmt.Sprintf(format, args...)))
}

// percent shows how far what is.
func (o *output) percent(what string) func(done, total int64) {
	return func(done, total int64) { o.progress.Show("%s %d %%", what, done*100/max(total, 1)) }
}

// fail reports the error of one among many.
func (o *output) fail(err error) {
	o.progress.Clear()
	cli.Report(o.stderr, "backupd", err, o.json)
}
