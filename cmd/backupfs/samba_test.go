package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"backupfs/index/indextest"
)

// TestSamba: with layout=snapshots, "Previous Versions" of a share lists the days that have a message, and fetches it (docs/mount.md).
func TestSamba(t *testing.T) {
	x := newFixture(t)
	// Of days long ago Samba has too many to tell.
	begun := time.Now().UTC().AddDate(0, 0, -3)
	days := make([]string, 3)
	kept, gone := message(1, 1, 2000), message(17, 17, 5000)
	for i, messages := range [][]indextest.Message{{kept, gone}, {kept, gone}, {kept}} {
		r := indextest.Run{User: "brong", Begun: begun.AddDate(0, 0, i), Folders: []indextest.Folder{
			{UniqueID: "inbox", Name: "INBOX"}, {UniqueID: "work", Name: "INBOX.Work", Messages: messages}}}
		x.run(r)
		days[i] = r.Begun.Format("2006.01.02")
	}
	m := x.mount("layout=snapshots")
	live := filepath.Join(t.TempDir(), "live")
	output(t, "cp", "-r", m.path("snapshots", strings.ReplaceAll(days[2], ".", "-"), "brong/INBOX"), live)
	ask := mustSamba(t, fmt.Sprintf(`[brong]
  path = %s
  read only = yes
  guest ok = yes
  vfs objects = shadow_copy2
  shadow:snapdir = %s
  shadow:snapsharepath = brong/INBOX
  shadow:format = %%Y-%%m-%%d
`, live, m.path("snapshots")))

	info := ask("cd Work; allinfo 1.")
	for _, day := range days {
		if !strings.Contains(info, "@GMT-"+day+"-00.00.00") {
			t.Errorf("of %s nothing is said:\n%s", day, info)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	for i, day := range days {
		said := ask(fmt.Sprintf("cd Work; get @GMT-%s-00.00.00/17. %s", day, out))
		b, err := os.ReadFile(out)
		if has := err == nil; has != (i < 2) || has && string(b) != gone.Body {
			t.Errorf("%s, what is gone since the third day: %d bytes, %v\n%s", day, len(b), err, said)
		}
		_ = os.Remove(out)
	}
	if log := m.log.String(); log != "" {
		t.Errorf("the log:\n%s", log)
	}
}

// mustSamba serves a share named brong until the test ends; ask has smbclient do something there, and returns all that it says.
func mustSamba(t *testing.T, share string) (ask func(command string) string) {
	t.Helper()
	dir := t.TempDir()
	pid := os.Getpid() // an address that no one else has now
	addr, port := fmt.Sprintf("127.%d.%d.%d", 64+pid>>16&63, pid>>8&255, pid&255), "4450"
	conf := filepath.Join(dir, "smb.conf")
	text := fmt.Sprintf("[global]\n  interfaces = %s/8\n  smb ports = %s\n", addr, port) + `  bind interfaces only = yes
  server role = standalone server
  disable netbios = yes
  map to guest = bad user
  guest account = root
  load printers = no
  printcap name = /dev/null
`
	for _, what := range []string{"private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir"} {
		text += fmt.Sprintf("  %s = %s\n", what, t.TempDir())
	}
	text += fmt.Sprintf("  log file = %s/log\n", dir) + share
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	smbd := exec.Command("smbd", "--foreground", "--no-process-group", "--configfile="+conf)
	var log bytes.Buffer
	smbd.Stdout, smbd.Stderr = &log, &log
	smbd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends by ending its process group
	if err := smbd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- smbd.Wait() }()
	t.Cleanup(func() {
		_ = smbd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = smbd.Process.Kill()
			t.Error("smbd does not end at SIGTERM")
		}
	})
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", net.JoinHostPort(addr, port))
		if err == nil {
			c.Close()
			break
		}
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("smbd: %v\n%s%s", err, &log, said)
		default:
		}
		if time.Since(start) > patience {
			t.Fatalf("smbd: %v", err)
		}
	}
	return func(command string) string {
		t.Helper()
		out, _ := exec.Command("smbclient", "--configfile="+conf, "--no-pass", "--port="+port, "//"+addr+"/brong", "--command="+command).CombinedOutput() // what it says counts
		return string(out)
	}
}
