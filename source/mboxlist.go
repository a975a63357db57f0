package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"backupfs/cyrus"
)

// mboxlistFolders are where distributions put Cyrus's tools: Debian, Red Hat, openSUSE, and what Cyrus's own make install does.
var mboxlistFolders = []string{"/usr/lib/cyrus/bin", "/usr/lib/cyrus-imapd", "/usr/libexec/cyrus-imapd", "/usr/libexec/cyrus", "/usr/cyrus/bin", "/usr/local/cyrus/bin"}

// mboxlistTimeout: a million mailboxes take it seconds; it may wait for a lock of a server that is stuck.
const mboxlistTimeout = 5 * time.Minute

var errNotAsked = errors.New("ctl_mboxlist is not asked")

// mboxlist runs ctl_mboxlist as the server's user.
func (l *Local) mboxlist(ctx context.Context) ([]cyrus.Mailbox, error) {
	tool, err := l.mboxlistTool()
	if err != nil {
		return nil, err
	}
	// The tool would make a new, empty list where there is none.
	if db := l.conf.Get("mboxlist_db_path"); db == "" && l.conf.Get("mboxlist_db") != "sql" {
		if _, err := os.Stat(filepath.Join(l.conf.Get("configdirectory"), "mailboxes.db")); err != nil {
			return nil, err
		}
	}
	conf, err := filepath.Abs(l.opts.ConfigPath) // the tool runs in another folder
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, mboxlistTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, "-C", conf, "-d")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + filepath.Dir(tool) + ":/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(l.owner.UID), Gid: uint32(l.owner.GID)}}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", tool, err, bytes.TrimSpace(stderr.Bytes()))
	}
	boxes, err := cyrus.ParseMboxlist(out)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	return boxes, nil
}

func (l *Local) mboxlistTool() (string, error) {
	switch l.opts.MboxlistCommand {
	case NoMboxlist:
		return "", errNotAsked
	case "":
		if path, err := exec.LookPath(ByMboxlist); err == nil {
			return path, nil
		}
		for _, dir := range mboxlistFolders {
			if path := filepath.Join(dir, ByMboxlist); executable(path) {
				return path, nil
			}
		}
		return "", fmt.Errorf("%s: %w", ByMboxlist, exec.ErrNotFound)
	}
	return l.opts.MboxlistCommand, nil
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&fs.FileMode(0o111) != 0
}
