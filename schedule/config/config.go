// Package config reads the configuration of backupd serve. All that is wrong in a file is found in one go, with its line; nothing in an
// error is a secret.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"backupfs/internal/suggest"
	"backupfs/schedule"
)

// ErrConfig: the configuration is wrong.
var ErrConfig = errors.New("wrong configuration")

// Drivers of [users].
const (
	Servers  = "servers" // each server's own list
	File     = "file"
	Postgres = "postgres"
	MySQL    = "mysql"
	SQLite   = "sqlite"
)

var (
	drivers   = []string{Servers, File, Postgres, MySQL, SQLite}
	formats   = []string{"text", "json"}
	logLevels = []string{"debug", "info", "warn", "error"}
)

// Config is a configuration, or the defaults.
type Config struct {
	Stores  []string
	Users   Users
	Servers map[string]Server
	Limits  schedule.Limits
	Plan    schedule.Plan
	Scrub   schedule.Scrub
	HTTP    HTTP
	Log     Log

	Retention schedule.Retention
}

// Users says where the list of users comes from.
type Users struct {
	Driver  string
	File    string // of driver File
	DSN     DSN    // of a database
	Query   string
	Refresh time.Duration
}

// Server is one server.
type Server struct {
	IMAPDConf string // its spool is on this host; or else
	Address   string // of its agent
	TLS       string // folder of certificates; empty: without TLS
	Timeout   time.Duration
}

// HTTP says where metrics and health are served.
type HTTP struct {
	Listen   string // host:port; empty: nowhere
	Insecure bool   // other hosts may ask, too
}

// Log says how the daemon logs.
type Log struct{ Format, Level string }

// file is what stands in a file.
type file struct {
	Stores []string `toml:"stores"`
	Users  struct {
		Driver  string `toml:"driver"`
		File    string `toml:"file"`
		DSN     string `toml:"dsn"`
		DSNFile string `toml:"dsn_file"`
		DSNEnv  string `toml:"dsn_env"`
		Query   string `toml:"query"`
		Refresh string `toml:"refresh"`
	} `toml:"users"`
	Servers map[string]struct {
		IMAPDConf string `toml:"imapd_conf"`
		Address   string `toml:"address"`
		TLS       string `toml:"tls"`
		Timeout   string `toml:"timeout"`
	} `toml:"servers"`
	Schedule struct {
		Workers      int    `toml:"workers"`
		Batch        int    `toml:"batch"`
		PerDriveUnit int    `toml:"per_drive_unit"`
		PerServer    int    `toml:"per_server"`
		Retries      int    `toml:"retries"`
		Window       string `toml:"window"`
		MaxAge       string `toml:"max_age"`
		TimeZone     string `toml:"time_zone"`
	} `toml:"schedule"`
	Retention struct {
		Last    int    `toml:"last"`
		Daily   int    `toml:"daily"`
		Weekly  int    `toml:"weekly"`
		Monthly int    `toml:"monthly"`
		Yearly  int    `toml:"yearly"`
		Live    int    `toml:"live"`
		Deleted string `toml:"deleted"`
		AtOnce  int    `toml:"at_once"`
	} `toml:"retention"`
	Scrub struct {
		Rate   string `toml:"rate"`
		Every  string `toml:"every"`
		Repair bool   `toml:"repair"`
	} `toml:"scrub"`
	HTTP struct {
		Listen   string `toml:"listen"`
		Insecure bool   `toml:"insecure"`
	} `toml:"http"`
	Log struct {
		Format string `toml:"format"`
		Level  string `toml:"level"`
	} `toml:"log"`
}

// defaults are what is not said in a file.
func defaults() (f file) {
	f.Users.Driver, f.Users.Refresh = Servers, "15m"
	f.Schedule.Workers, f.Schedule.Batch, f.Schedule.PerDriveUnit, f.Schedule.Retries = 12, 50, 1, 3
	f.Schedule.TimeZone, f.Retention.Live, f.Retention.AtOnce = "Local", 80, 1
	f.Scrub.Rate, f.Scrub.Every, f.Scrub.Repair = "20MB/s", "30d", true
	f.Log.Format, f.Log.Level = formats[0], "info"
	return f
}

const (
	defaultAge    = "24h"
	defaultServer = "local"
	defaultConf   = "/etc/imapd.conf"
)

// Default is the configuration of a store and the server on this host.
func Default(store, imapdConf string) Config {
	f := defaults()
	f.Stores = []string{store}
	r := reader{file: f}
	c := r.config()
	c.Servers[defaultServer] = Server{IMAPDConf: imapdConf}
	return c
}

// Load reads a file. ErrConfig with all that is wrong in it, line by line.
func Load(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	r := reader{file: defaults(), lines: linesOf(b)}
	var c Config
	err = toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields().Decode(&r.file)
	if err == nil || r.decodeError(err) {
		c = r.config()
	}
	if len(r.wrong) == 0 {
		return c, nil
	}
	slices.SortStableFunc(r.wrong, func(a, b wrong) int { return cmp.Compare(a.line, b.line) })
	var texts []string
	for _, w := range r.wrong {
		text := path + ": " + w.text
		if w.line > 0 {
			text = fmt.Sprintf("%s:%d: %s", path, w.line, w.text)
		}
		texts = append(texts, text)
	}
	return Config{}, wrongConfig(strings.Join(texts, "\n"))
}

// wrongConfig is all that is wrong, a line each.
type wrongConfig string

func (e wrongConfig) Error() string        { return string(e) }
func (e wrongConfig) Is(target error) bool { return target == ErrConfig }

type wrong struct {
	line int // 0: of the whole file
	text string
}

// reader makes a Config of what stands in a file.
type reader struct {
	file  file
	lines map[string]int // of keys, as schedule.workers
	wrong []wrong
}

// bad notes that the value of a key is wrong. It must not show a secret.
func (r *reader) bad(key, format string, args ...any) {
	r.wrong = append(r.wrong, wrong{r.lines[key], key + ": " + fmt.Sprintf(format, args...)})
}

func (r *reader) config() (c Config) {
	f := &r.file
	c.Stores = f.Stores
	if len(c.Stores) == 0 {
		r.bad("stores", `no store is named: stores = ["/srv/backup"]`)
	}
	c.Servers = map[string]Server{}
	for name := range f.Servers {
		c.Servers[name] = r.server(name)
	}
	if len(f.Servers) == 0 {
		c.Servers[defaultServer] = Server{IMAPDConf: defaultConf}
	}
	c.Users = r.users()
	c.Limits = schedule.Limits{
		Workers: r.atLeast(1, "schedule.workers", f.Schedule.Workers), Batch: r.atLeast(1, "schedule.batch", f.Schedule.Batch),
		PerDriveUnit: r.atLeast(1, "schedule.per_drive_unit", f.Schedule.PerDriveUnit), Retries: r.atLeast(0, "schedule.retries", f.Schedule.Retries),
	}
	c.Limits.PerServer = c.Limits.Workers
	if len(c.Servers) > 1 {
		c.Limits.PerServer = (c.Limits.Workers + 1) / 2 // one that hangs does not hold all workers
	}
	if _, said := r.lines["schedule.per_server"]; said {
		c.Limits.PerServer = r.atLeast(1, "schedule.per_server", f.Schedule.PerServer)
	}
	c.Plan = r.plan()
	c.Retention = r.retention()
	c.Scrub = r.scrub()
	c.HTTP = r.http()
	c.Log = Log{f.Log.Format, f.Log.Level}
	r.oneOf("log.format", c.Log.Format, formats)
	r.oneOf("log.level", c.Log.Level, logLevels)
	return c
}

func (r *reader) atLeast(least int, key string, n int) int {
	if n < least {
		r.bad(key, "%d is less than %d", n, least)
	}
	return n
}

func (r *reader) oneOf(key, value string, all []string) {
	if !slices.Contains(all, value) {
		r.bad(key, "%q is none of %s%s", value, strings.Join(all, ", "), suggest.Clause(suggest.Closest(value, all)))
	}
}

func (r *reader) duration(key, text string, least time.Duration) time.Duration {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	}
	switch {
	case err != nil:
		r.bad(key, `%q is no duration as "30d", "24h" or "15m"`, text)
	case d < least:
		r.bad(key, "%s is less than %s", d, least)
	}
	return d
}

// zone is that of the schedule, and of retention; that it is wrong is told by plan.
func (r *reader) zone() (*time.Location, error) {
	zone, err := time.LoadLocation(r.file.Schedule.TimeZone)
	if err == nil && r.file.Schedule.TimeZone == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		zone = time.UTC
	}
	return zone, err
}

// leastDeleted: a user may be missing in a list for a day by mistake.
const leastDeleted = 24 * time.Hour

// retention keeps all unless there is such a table. One that says no number keeps fourteen days.
func (r *reader) retention() schedule.Retention {
	f := r.file.Retention
	said := false
	for key, n := range map[string]int{"last": f.Last, "daily": f.Daily, "weekly": f.Weekly, "monthly": f.Monthly, "yearly": f.Yearly} {
		_, is := r.lines["retention."+key]
		said = said || is
		r.atLeast(0, "retention."+key, n)
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(r.lines)), func(key string) bool { return strings.HasPrefix(key, "retention") }) {
		return schedule.Retention{}
	}
	keep := schedule.Keep{Last: f.Last, Daily: f.Daily, Weekly: f.Weekly, Monthly: f.Monthly, Yearly: f.Yearly}
	if !said {
		keep = schedule.DefaultKeep
	}
	if keep == (schedule.Keep{}) {
		r.bad("retention", "it keeps nothing; last = 1 is the newest date alone")
	}
	if f.Live < 1 || f.Live > 100 {
		r.bad("retention.live", "%d is no percentage from 1 to 100", f.Live)
	}
	zone, _ := r.zone()
	retention := schedule.Retention{Keep: keep, Location: zone, Live: float64(f.Live) / 100, AtOnce: r.atLeast(1, "retention.at_once", f.AtOnce)}
	if f.Deleted != "" {
		retention.Deleted = r.duration("retention.deleted", f.Deleted, leastDeleted)
	}
	return retention
}

func (r *reader) plan() schedule.Plan {
	f := r.file.Schedule
	zone, err := r.zone()
	if err != nil {
		r.bad("schedule.time_zone", `%q is no time zone as "Europe/Berlin"`, f.TimeZone)
	}
	switch {
	case f.Window != "" && f.MaxAge != "":
		r.bad("schedule.max_age", "with a window, a backup is as old as the last one; leave one of the two out")
	case f.Window != "":
		plan, err := schedule.Window(f.Window, zone)
		if err != nil {
			r.bad("schedule.window", "%q: %v", f.Window, err)
		}
		return plan
	}
	return schedule.MaxAge(r.duration("schedule.max_age", cmp.Or(f.MaxAge, defaultAge), time.Minute))
}

func (r *reader) users() Users {
	f := r.file.Users
	u := Users{Driver: f.Driver, File: f.File, Query: f.Query, DSN: DSN{f.DSN, f.DSNFile, f.DSNEnv}}
	u.Refresh = r.duration("users.refresh", f.Refresh, time.Second)
	r.oneOf("users.driver", f.Driver, drivers)
	if !slices.Contains(drivers, f.Driver) {
		return u
	}
	database := f.Driver != Servers && f.Driver != File
	given := map[string]string{"file": f.File, "query": f.Query, "dsn": f.DSN, "dsn_file": f.DSNFile, "dsn_env": f.DSNEnv}
	dsns := 0
	for _, key := range slices.Sorted(maps.Keys(given)) {
		switch {
		case given[key] == "":
		case key == "file" && f.Driver != File, key != "file" && !database:
			r.bad("users."+key, "it is not for driver = %q", f.Driver)
		case strings.HasPrefix(key, "dsn"):
			dsns++
		}
	}
	switch {
	case f.Driver == File && f.File == "":
		r.bad("users.driver", `which file? file = "/etc/backupd/users.csv"`)
	case database && dsns != 1:
		r.bad("users.driver", "%d of dsn, dsn_file and dsn_env are given, and one must be", dsns)
	case database && f.Query == "":
		r.bad("users.driver", `what is to be asked? query = "SELECT username, imapserver, partition FROM mailusers"`)
	}
	return u
}
