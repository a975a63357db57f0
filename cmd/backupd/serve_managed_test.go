package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"backupfs/internal/cyruslab"
)

// TestServeManaged: systemd is told that serve is ready, works, and ends; monitoring gets the figures, and people a page.
func TestServeManaged(t *testing.T) {
	lab := cyruslab.Start(t, cyruslab.Options{})
	lab.MustAddUsers(t, "alice", "bob")
	dir := cyruslab.TempDir(t)
	word := mustHear(t, dir)
	config := fmt.Sprintf("stores = [%q]\nhttp.listen = \"127.0.0.1:0\"\nlog.format = \"json\"\nservers.imap1.imapd_conf = %q\n", dir+"/store", lab.Conf)
	log, err := os.Create(dir + "/log")
	cyruslab.Must(t, err, os.WriteFile(dir+"/backupd.toml", []byte(config), 0o600))
	defer log.Close()
	cmd := exec.Command("backupd", "serve", "--make-stores", "--config", dir+"/backupd.toml")
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+dir+"/notify", "WATCHDOG_USEC=100000")
	cmd.Stderr = log
	cyruslab.Must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })

	if got := word(); got != "READY=1" {
		t.Errorf("told first: %q", got)
	}
	for range 3 {
		if got := word(); !strings.HasPrefix(got, "WATCHDOG=1\nSTATUS=") {
			t.Errorf("told while it works: %q", got)
		}
	}
	for word() != "WATCHDOG=1\nSTATUS=2 of 2 users, 0 failed" { // a hang is ended by word
	}
	base := "http://" + mustLogged(t, log.Name(), "serving the page, metrics and health", "address")
	metrics := mustGet(t, base+"/metrics", http.StatusOK)
	for _, want := range []string{
		`backupfs_users{server="imap1",unit="default"} 2`, `backupfs_users_late{server="imap1",unit="default"} 0`,
		`backupfs_runs_total{result="ok"} 2`, `backupfs_run_seconds_count 2`, `backupfs_new_messages_total 0`, `backupfs_users_gone 0`,
		`backupfs_oldest_backup_age_seconds{server="imap1",unit="default"} `, `backupfs_store_free_bytes{store="` + dir + `/store"} `,
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if got := mustGet(t, base+"/healthz", http.StatusOK); got != "ok: 2 of 2 users, 0 failed\n" {
		t.Errorf("%q", got)
	}
	mustGet(t, base+"/other", http.StatusNotFound)
	for path, want := range map[string]string{
		"/":                `<dt>Users</dt><dd><a href="users">2</a></dd>`,
		"/users?q=ALI":     `<p>1 to 1 of 1, the longest without a backup first.</p>`,
		"/user?name=alice": `<p>1 in all, the newest first. `,
	} {
		if page := mustGet(t, base+path, http.StatusOK); !strings.Contains(page, want) {
			t.Errorf("%s: no %s in\n%s", path, want, page)
		}
	}
	mustGet(t, base+"/user?name=nobody", http.StatusNotFound)
	for _, path := range []string{"/", "/metrics"} {
		req, err := http.NewRequest(http.MethodGet, base+path, nil)
		cyruslab.Must(t, err)
		req.Host = "evil.example"
		resp, err := http.DefaultClient.Do(req)
		cyruslab.Must(t, err, resp.Body.Close())
		if resp.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s by another name: %s", path, resp.Status)
		}
	}

	cyruslab.Must(t, os.WriteFile(dir+"/backupd.toml", []byte(config+"servers.imap2.address = \"unix:"+dir+"/nobody\"\n"), 0o600),
		cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, "the list of the new server is missed", func() bool {
		resp, err := http.Get(base + "/healthz")
		cyruslab.Must(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		cyruslab.Must(t, err)
		return resp.StatusCode == http.StatusServiceUnavailable && strings.HasPrefix(string(text), "list of users of imap2, since 20")
	})
	if metrics := mustGet(t, base+"/metrics", http.StatusOK); !strings.Contains(metrics, `backupfs_trouble{what="list of users of imap2"} 1`) {
		t.Error(metrics)
	}
	cyruslab.Must(t, cmd.Process.Signal(syscall.SIGTERM))
	for word() != "STOPPING=1" {
	}
	cyruslab.Must(t, cmd.Wait())
}

func mustGet(t *testing.T, url string, code int) string {
	t.Helper()
	resp, err := http.Get(url)
	cyruslab.Must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	cyruslab.Must(t, err)
	if resp.StatusCode != code {
		t.Errorf("%s: %s\n%s", url, resp.Status, text)
	}
	return string(text)
}

// mustLogged is an attribute of a line of a log in JSON.
func mustLogged(t *testing.T, path, msg, attr string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	cyruslab.Must(t, err)
	for line := range strings.Lines(string(text)) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err == nil && l["msg"] == msg {
			return fmt.Sprint(l[attr])
		}
	}
	t.Fatalf("not logged: %s\n%s", msg, text)
	return ""
}
