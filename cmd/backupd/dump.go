package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
)

type dumpOptions struct {
	file string
	json bool
}

func newDump() *cobra.Command {
	var opts dumpOptions
	cmd := &cobra.Command{
		Use:   "dump FILE",
		Short: "Show what a cyrus.index, a cyrus.header or an archive holds",
		Long: `Show a file that this program understands, recognised by its content: a cyrus.index of versions 9 to 20, a cyrus.header,
a cyrus.backupfs, an archive (.tar.gz, or a .tar of Cyrus's own tools).

The names of user flags are taken from a cyrus.header beside the cyrus.index. With --json a cyrus.index, cyrus.header or
cyrus.backupfs is one object; an archive is one a line: its members, entries and runs in their order.

Exit status: 0; 1 if the file cannot be read or is none of these; 5 if it is damaged, after what could be read of it.`,
		Example: `  backupd dump --json /mnt/brong/latest/INBOX/cyrus.index
  backupd dump /srv/backup/users/7f/brong/backupdata-1259443200.tar.gz`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.file = args[0]
			return runDump(cmd.Context(), opts, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&opts.json, "json", false, "print JSON")
	return cmd
}

// headerMagic begins every cyrus.header.
// cyrus: imap/mailbox.h MAILBOX_HEADER_MAGIC
var headerMagic = []byte("\xa1\x02\x8b\x0dCyrus mailbox header")

func runDump(ctx context.Context, opts dumpOptions, out io.Writer) error {
	f, err := os.Open(opts.file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	dump := dumpIndex
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}), len(head) > 262 && string(head[257:262]) == "ustar":
		return dumpArchive(ctx, opts, out)
	case bytes.HasPrefix(head, headerMagic):
		dump = dumpHeader
	case bytes.HasPrefix(head, []byte("backupfs-folder ")):
		dump = dumpExceptions
	case len(head) < 12 || binary.BigEndian.Uint32(head[8:])-1 > 254: // no version
		return fmt.Errorf("%s: neither a cyrus.index nor anything else that can be shown", opts.file)
	}
	rest, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := dump(opts, append(head, rest...), out); err != nil {
		return fmt.Errorf("%s: %w", opts.file, err)
	}
	return nil
}
