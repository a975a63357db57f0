package main

import (
	"context"
	"errors"
	"log/syslog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"backupfs/cmd/internal/cli"
	"backupfs/cyrus"
	"backupfs/lock"
	"backupfs/restore"
	"backupfs/source"
)

// finishBehindEnv is set for a process that finishBehind starts.
const finishBehindEnv = "BACKUPD_FINISH_BEHIND"

type finishOptions struct {
	output
	user      string
	mailboxes []string
	conf      string
}

func newFinish() *cobra.Command {
	var opts finishOptions
	cmd := &cobra.Command{
		Use:   "finish USER [MAILBOX...]",
		Short: "Have the server take in what a restore brought back",
		Long: `Have Cyrus's own tools do what is left when "backupd restore" has put messages into the live mail on this host: clean up and
reconstruct, which fill the server's cache of them; with "conversations: yes" ctl_conversationsdb, which adds them to the threads;
and quota, which counts them. A restore starts it, in the background. It is called again where it was interrupted or failed, and may
be called at any time.

MAILBOX is called as those tools call it (user/brong/Contracts). Without any, all of the user's are looked at that a restore was at
and this was not.

Exit status: 0 if nothing is left to do, 1 if the server's tools failed.`,
		Example: `  backupd finish brong`,
		Args:    cli.Args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.user, opts.mailboxes = args[0], args[1:]
			if err := opts.start(cmd); err != nil {
				return err
			}
			err := runFinish(cmd.Context(), opts)
			if err != nil && os.Getenv(finishBehindEnv) != "" {
				if log, dialed := syslog.New(syslog.LOG_MAIL|syslog.LOG_ERR, "backupd"); dialed == nil {
					_ = log.Err(cli.Clean(opts.user + ": " + err.Error()))
				}
			}
			return err
		},
	}
	addConf(cmd, &opts.conf)
	opts.addQuiet(cmd)
	return cmd
}

func runFinish(ctx context.Context, opts finishOptions) error {
	src, err := openSpool(ctx, "finish", source.LocalOptions{ConfigPath: opts.conf})
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	mail, err := restore.NewSpool(ctx, src, restore.Live{User: opts.user, Was: opts.user})
	if err != nil {
		return err
	}
	if len(opts.mailboxes) > 0 {
		err = mail.Resume(opts.mailboxes...)
	} else {
		err = mail.ResumeAll(ctx)
	}
	left := mail.Unfinished()
	if err == nil && len(left) > 0 {
		err = mail.Finish(ctx)
	}
	if err == nil {
		opts.say("%s: %s finished", opts.user, plural(len(left), "folder"))
	}
	return err
}

// finishBehind starts "backupd finish" in a session of its own. Of many restores, one after the other, each waits until the one before it is finished: the
// server has no more to do at a time than one of them gives it. That is told by a lock on the server's configuration directory, which the process holds.
func finishBehind(ctx context.Context, conf, user string, mailboxes []string) error {
	conf, err := filepath.Abs(conf)
	if err != nil {
		return err
	}
	config, err := cyrus.LoadConfig(conf)
	if err != nil {
		return err
	}
	held, err := os.Open(config.Get("configdirectory"))
	if err != nil {
		return err
	}
	defer held.Close()
	for {
		if err := unix.Flock(int(held.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			break
		} else if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err := lock.Pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, append([]string{"finish", "--imapd-conf", conf, "--", user}, mailboxes...)...)
	cmd.Dir, cmd.Env = "/", append(os.Environ(), finishBehindEnv+"=1")
	cmd.ExtraFiles = []*os.File{held}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
