package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backupfs/schedule"
)

// TestExample: the annotated example is a configuration, and with all that is commented out in it taken away, it says the same.
func TestExample(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "backupd.toml")
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Stores) != 2 || c.Users.Driver != Postgres || c.Servers["imap1"].IMAPDConf != "/etc/imapd.conf" ||
		c.Servers["imap2"] != (Server{Address: "imap2.example.org:2901", TLS: "/etc/backupd/tls", Timeout: 10 * time.Minute}) || c.Plan.String() != "23:55-06:00" {
		t.Errorf("%+v", c)
	}
	if want := (schedule.Limits{Workers: 12, Batch: 50, PerDriveUnit: 1, PerServer: 6, Retries: 3}); c.Limits != want {
		t.Errorf("%+v", c.Limits)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Each default that the example names is what is taken without it.
	for _, key := range []string{"timeout", "refresh", "workers", "batch", "per_drive_unit", "retries", "yearly", "live", "rate", "every", "repair", "insecure", "format", "level"} {
		_, after, ok := strings.Cut(string(b), "\n# "+key+" = ")
		if !ok {
			t.Fatalf("the example has no %s", key)
		}
		value := strings.Fields(after)[0]
		with := strings.Replace(string(b), "\n# "+key+" = ", "\n"+key+" = "+value+" # ", 1)
		d, err := Load(write(t, with))
		if err != nil || fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", d) {
			t.Errorf("%s = %s: %v\n%+v\n%+v", key, value, err, c, d)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backupd.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string // lines of the error, without the path
	}{
		{"", []string{`: stores: no store is named: stores = ["/srv/backup"]`}},
		{"store = ['/a']", []string{`: stores: no store is named: stores = ["/srv/backup"]`, "1: store: there is no such key; did you mean stores?"}},
		{"stores = ['/a']\n[schedule]\nwidow = '1:00'", []string{"3: schedule.widow: there is no such key; did you mean window?"}},
		{"stores = ['/a']\nworkers = 3", []string{"2: workers: there is no such key; did you mean [schedule] workers?"}},
		{"stores = ['/a']\n[servers.imap1]\nadress = 'imap1:2901'", []string{
			`2: servers.imap1: how to reach it is not said: imapd_conf = "/etc/imapd.conf" on this host, address = "imap1.example.org:2901" elsewhere`,
			"3: servers.imap1.adress: there is no such key; did you mean address?"}},
		{"stores = ['/a']\n[servers.imap1]\naddress = 'imap1:2901'\nimapd_conf = '/etc/imapd.conf'", []string{
			"3: servers.imap1.address: with imapd_conf it is on this host; leave one of the two out"}},
		{"stores = ['/a']\nservers.a = {address = 'imap1'}\nservers.b = {imapd_conf = '/c', tls = '/t'}\nservers.c = {imapd_conf = '/c', timeout = '1m'}", []string{
			`2: servers.a.address: "imap1": neither host:port nor unix:PATH`, "3: servers.b.tls: it is for the connection to an address",
			"4: servers.c.timeout: it is for the connection to an address"}},
		{"stores = ['/a']\nservers.a = {address = 'unix:/run/agent', tls = '/t'}\nservers.b = {address = 'b:1', timeout = '1ms'}", []string{
			`2: servers.a.tls: the agent's certificate is for a host, and "unix:/run/agent" names none`, "3: servers.b.timeout: 1ms is less than 1s"}},
		{"stores = ['/a']\n[retention]\ndaily = 0", []string{"2: retention: it keeps nothing; last = 1 is the newest date alone"}},
		{"stores = ['/a']\n[servers.a]\naddress = 'b:1'\ntls = {ca = '/t'}", []string{`4: servers.a.tls: it must be a text in quotes: "…"`}},
		{"stores = ['/a']\n[retention]\ndayly = 14\nlive = 0\nweekly = -1", []string{
			"3: retention.dayly: there is no such key; did you mean daily?", "4: retention.live: 0 is no percentage from 1 to 100", "5: retention.weekly: -1 is less than 0"}},
		{"stores = ['/a']\n[retention]\nlive = 101\ndeleted = '30min'", []string{
			"3: retention.live: 101 is no percentage from 1 to 100", `4: retention.deleted: "30min" is no duration as "30d", "24h" or "15m"`}},
		{"stores = ['/a']\nretention.deleted = '12h'", []string{"2: retention.deleted: 12h0m0s is less than 24h0m0s"}},
		{"stores = ['/a']\n[schedule]\nworkers = '12'", []string{"3: schedule.workers: it must be a whole number"}},
		{"stores = '/a'", []string{`1: stores: it must be a list: ["…"]`}},
		{"stores = ['/a']\n[schedule]\nwindow = 2355", []string{`3: schedule.window: it must be a text in quotes: "…"`}},
		{"stores = ['/a']\nschedule = 3", []string{"2: schedule: it must be a table: […]"}},
		{"stores = ['/a']\n[schedule]\nworkers = 0\nretries = -1\nwindow = '25:00'\n", []string{
			"3: schedule.workers: 0 is less than 1", "4: schedule.retries: -1 is less than 0",
			`5: schedule.window: "25:00": neither a window as "23:55-06:00" nor a time as "23:55"`}},
		{"stores = ['/a']\nschedule = {per_server = 0, time_zone = 'Europe/Berln'}", []string{
			"2: schedule.per_server: 0 is less than 1", `2: schedule.time_zone: "Europe/Berln" is no time zone as "Europe/Berlin"`}},
		{"stores = ['/a']\n[schedule]\nwindow = '1:00'\nmax_age = '24h'", []string{
			"4: schedule.max_age: with a window, a backup is as old as the last one; leave one of the two out"}},
		{"stores = ['/a']\n[schedule]\nmax_age = 'xd'", []string{`3: schedule.max_age: "xd" is no duration as "30d", "24h" or "15m"`}},
		{"stores = ['/a']\n[scrub]\nrate = 'fast'\nevery = '1m'\nrepair = 1", []string{"5: scrub.repair: it must be true or false"}},
		{"stores = ['/a']\n[scrub]\nrate = 'fast'\nevery = '1m'", []string{
			`3: scrub.rate: "fast" is no number of bytes a second as "20MB/s"`, "4: scrub.every: 1m0s is less than 1h0m0s"}},
		{"stores = ['/a']\n[users]\ndriver = 'postgresql'", []string{
			`3: users.driver: "postgresql" is none of servers, file, postgres, mysql, sqlite; did you mean postgres?`}},
		{"stores = ['/a']\n[users]\ndriver = 'mysql'\nquery = 'SELECT'", []string{"3: users.driver: 0 of dsn, dsn_file and dsn_env are given, and one must be"}},
		{"stores = ['/a']\n[users]\nfile = 'x'\nquery = 'SELECT'", []string{
			`3: users.file: it is not for driver = "servers"`, `4: users.query: it is not for driver = "servers"`}},
		{"stores = ['/a']\n[http]\nlisten = '9180'\ninsecure = 'no'", []string{"4: http.insecure: it must be true or false"}},
		{"stores = ['/a']\n[http]\nlisten = '9180'", []string{`3: http.listen: "9180" is no address as "127.0.0.1:9180"`}},
		{"stores = ['/a']\n[http]\nlisten = ':9180'", []string{`3: http.listen: at ":9180" other hosts could ask, too; if they may: insecure = true`}},
		{"stores = ['/a']\n[http]\nlisten = 'mon.example.org:9180'", []string{
			`3: http.listen: at "mon.example.org:9180" other hosts could ask, too; if they may: insecure = true`}},
		{"stores = ['/a']\n[log]\nformat = 'jsn'", []string{`3: log.format: "jsn" is none of text, json; did you mean json?`}},
	} {
		path := write(t, c.text)
		_, err := Load(path)
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got, want := strings.ReplaceAll(err.Error(), path+":", ""), strings.Join(c.want, "\n"); got != strings.ReplaceAll(want, ": stores: no", " stores: no") {
			t.Errorf("%q:\n%s\nwant\n%s", c.text, got, want)
		}
	}
}

const secret = "s3cr3t"

// TestSecret: whatever is wrong with a file, a password in it is not shown; nor is it when the configuration is printed.
func TestSecret(t *testing.T) {
	dsn := "postgres://backupd:" + secret + "@db/mail"
	for _, text := range []string{
		"stores = ['/a']\n[users]\ndriver = 'postgres'\nquery = 'SELECT'\ndsn = '" + dsn,
		"stores = ['/a']\n[users]\ndriver = 'postgres'\nquery = 'SELECT'\ndsn = ['" + dsn + "']",
		"stores = ['/a']\n[users]\ndriver = 'postgres'\nquery = 'SELECT'\ndsn = " + dsn,
		"stores = ['/a']\n[users]\ndriver = 'postgres'\ndsn = '" + dsn + "'",
		"stores = ['/a']\n[users]\ndsn = '" + dsn + "'",
		"stores = ['/a']\n[users]\ndsn = '" + dsn + "'\ndsn = '" + dsn + "'",
		"dsn = '" + dsn + "'",
	} {
		_, err := Load(write(t, text))
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
	c, err := Load(write(t, "stores = ['/a']\n[users]\ndriver = 'postgres'\nquery = 'SELECT'\ndsn = '"+dsn+"'"))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, c.Users.DSN); strings.Contains(text, secret) {
		t.Error(text)
	}
	if got, err := c.Users.DSN.Secret(); got != dsn || err != nil {
		t.Error(got, err)
	}
}

func TestRetention(t *testing.T) {
	for text, want := range map[string]schedule.Retention{
		"":                                      {},
		"[retention]":                           {Keep: schedule.DefaultKeep, Location: time.UTC, Live: 0.8, AtOnce: 1},
		"[retention]\nlive = 100":               {Keep: schedule.DefaultKeep, Location: time.UTC, Live: 1, AtOnce: 1},
		"[retention]\ndaily = 14":               {Keep: schedule.Keep{Daily: 14}, Location: time.UTC, Live: 0.8, AtOnce: 1},
		"[retention]\nlast = 3\nyearly = 9":     {Keep: schedule.Keep{Last: 3, Yearly: 9}, Location: time.UTC, Live: 0.8, AtOnce: 1},
		"retention = {daily = 14, at_once = 3}": {Keep: schedule.Keep{Daily: 14}, Location: time.UTC, Live: 0.8, AtOnce: 3},
		"retention.daily = 14":                  {Keep: schedule.Keep{Daily: 14}, Location: time.UTC, Live: 0.8, AtOnce: 1},
		"retention.deleted = '30d'":             {Keep: schedule.DefaultKeep, Location: time.UTC, Live: 0.8, AtOnce: 1, Deleted: 30 * 24 * time.Hour},
	} {
		c, err := Load(write(t, "stores = ['/a']\nschedule = {time_zone = 'UTC'}\n"+text))
		if err != nil || c.Retention != want {
			t.Errorf("%q: %+v, %v", text, c.Retention, err)
		}
	}
}

func TestDefault(t *testing.T) {
	two, err := Load(write(t, "stores = ['/a']\nservers.a = {imapd_conf = '/a'}\nservers.b = {address = 'b:1'}\nschedule.workers = 5"))
	if err != nil || two.Limits.PerServer != 3 {
		t.Errorf("%+v, %v", two, err)
	}
	c := Default("/a", "/b")
	if c.Plan != schedule.MaxAge(24*time.Hour) || c.Scrub != (schedule.Scrub{Rate: 20e6, Every: 30 * 24 * time.Hour, Repair: true}) || c.Servers["local"].IMAPDConf != "/b" || c.Limits.PerServer != 12 || c.Users.Driver != Servers {
		t.Errorf("%+v", c)
	}
}
