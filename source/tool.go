package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// toolFolders are where distributions put Cyrus's tools: Debian, Red Hat, openSUSE, and what Cyrus's own make install does.
var toolFolders = []string{"/usr/lib/cyrus/bin", "/usr/lib/cyrus-imapd", "/usr/libexec/cyrus-imapd", "/usr/libexec/cyrus", "/usr/cyrus/bin", "/usr/local/cyrus/bin"}

// Tool runs one of Cyrus's own tools as the server's user, for instance Tool(ctx, "reconstruct", "user.brong"), and returns what it prints.
func (l *Local) Tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	return l.ToolWith(ctx, nil, name, args...)
}

// ToolWith is Tool that reads what it is given.
func (l *Local) ToolWith(ctx context.Context, in io.Reader, name string, args ...string) ([]byte, error) {
	tool, err := findTool(name)
	if err != nil {
		return nil, err
	}
	return l.run(ctx, tool, in, args...)
}

func (l *Local) run(ctx context.Context, tool string, in io.Reader, args ...string) ([]byte, error) {
	conf, err := filepath.Abs(l.opts.ConfigPath) // the tool runs in another folder
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"-C", conf}, args...)...)
	cmd.Dir, cmd.Stdin = "/", in
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
	return out, nil
}

func findTool(name string) (string, error) {
	if name == "quota" { // the system has another one of that name: it is the one beside the others
		beside, err := findTool("reconstruct")
		return filepath.Join(filepath.Dir(beside), name), err
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range toolFolders {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

func executable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&fs.FileMode(0o111) != 0
}
