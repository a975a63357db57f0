// Backupd backs Cyrus users up into a store of archives, and looks after the store.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"backupfs/cmd/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, newRoot(), os.Stderr)
	stop()
	os.Exit(code)
}
