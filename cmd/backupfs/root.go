package main

import (
	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
)

// newRoot is the command. background gets the exit code of the process that it leaves behind.
func newRoot(background *int) *cobra.Command {
	var foreground bool
	var words []string
	cmd := &cobra.Command{
		Use:     "backupfs [-f] [-o OPTIONS] STORE MOUNTPOINT",
		Version: cli.Version(),
		// They are in Use already.
		DisableFlagsInUseLine: true,
		Short:                 "Mount a store of backups as a tree of dates",
		Long: `Backupfs mounts a store that backupd filled, read-only, as USER/DATE/FOLDER/MESSAGE: each day as it was. It returns
when the mount answers, and goes on in the background; umount, fusermount3 -u or SIGTERM end it. New runs of
backupd appear in the mount by themselves, within two seconds.

Beside a user's dates, all/ has each folder with every message that any date holds, once, and deleted/ those of them that are nowhere in the
newest date. What is no longer there has the date behind its name where it stood last: 17.2009-09-28 is 2009-09-28's 17.,
and Work.until-2009-09-28 a folder.

STORE may also be a store of Cyrus's own Cyrus::Backup: the folder with its data and meta folders, or one with the archives
anywhere below it, each in a folder of its user's name. It is shown as it lies, and never written to.

A message's mtime is its internal date; that of a folder is the beginning of its run; that of a user's folder says when the last run
was written. A message has one inode in all dates. A message whose bytes in the archive are damaged cannot be read (EIO), and
is named in the log (syslog, or stderr with -f). Bytes that are damaged cost what stands with them in one gzip member, up to
256 KiB; all others can be read.

Options, as in mount(8), are separated by commas:
  allow_other      let other users see the mount; without it only its owner can, not even root
  cache=8M         memory for inflated data; what was read is kept by the kernel besides, in memory that is free
  cachedir=DIR     where to make an index of an archive, if the store's is missing, old or cannot be used, or it is Cyrus::Backup's
                   (default: $XDG_CACHE_HOME/backupfs, for root /var/cache/backupfs)
  expunged         show messages that were expunged too, as long as the server still had them
  flags            messages have flags, modseq and UID as extended attributes, for "getfattr -d" and "rsync -X"; what was read at one
                   date is then kept for another only as long as the folder was the same
  layout=snapshots  snapshots/DATE/USER instead of USER/DATE, for snapshot tools: of each day the newest run, and no views
  profile=DIR      write cpu.pprof and heap.pprof there at the end, for "go tool pprof". In any mount SIGUSR1 begins a profile and the
                   next SIGUSR1 writes it, there or else in cachedir
  uid=, gid=       owner of everything (default: for root the user cyrus, if there is one; else who mounts)
  umask=077        what is taken from the modes 0666 and 0777
  tz=ZONE          time zone of the dates, as Europe/Berlin or Local (default: UTC)
  utf8             folders have their names in UTF-8, as Entwürfe, not as in the spool, Entw&APw-rfe

  ro, nodev, nosuid, noexec, noatime, defaults, … are accepted, so that fstab may have:
      /srv/backup  /mnt/backup  fuse.backupfs  allow_other,_netdev  0  0

Exit codes:
  0  all right
  1  failed
  2  wrong usage`,
		Example: `  backupfs /srv/backup /mnt/backup
  ls /mnt/backup/brong/2009-09-28/INBOX
  rsync -a --include='*.' --exclude='*' /mnt/backup/brong/2009-09-28/INBOX/Drafts/ /tmp/lost-drafts/
  umount /mnt/backup

  backupfs -f -o allow_other,uid=cyrus,tz=Local /srv/backup /mnt/backup`,
		Args: cli.Args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			m, err := newMount(cmd.Context(), args[0], args[1], words)
			if err != nil {
				return err
			}
			if foreground || inBackground() {
				return m.run(cmd.Context())
			}
			*background, err = startBackground(cmd.Context())
			return err
		},
	}
	cmd.Flags().BoolVarP(&foreground, "foreground", "f", false, "stay in front, and write the log to stderr")
	cmd.Flags().StringArrayVarP(&words, "options", "o", nil, "mount options, see above")
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}
