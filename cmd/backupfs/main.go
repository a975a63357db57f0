// Backupfs mounts a store of archives as a tree of dates.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"backupfs/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	var background int // exit code of the process in the background, which said itself why
	code := cli.Run(ctx, newRoot(&background), os.Stderr)
	stop()
	if code == cli.OK {
		code = background
	}
	os.Exit(code)
}
