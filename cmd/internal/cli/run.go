package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// Run executes a command and returns the exit code. What went wrong is reported on stderr, as JSON if the verb was called with
// --json.
func Run(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	stderr = Guard(stderr)
	root.SetOut(Guard(root.OutOrStdout()))
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return WithHint(Usagef("%v", err), "%s --help", cmd.CommandPath())
	})
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return OK
	}
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		err = errInterrupted
	}
	json := cmd.Flags().Lookup("json")
	Report(stderr, root.Name(), err, json != nil && json.Value.String() == "true")
	return Code(err)
}

var errInterrupted = errors.New("interrupted")

// Args makes a mistake in the arguments an error of usage.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return WithHint(Usagef("%v", err), "%s --help", cmd.CommandPath())
		}
		return nil
	}
}
