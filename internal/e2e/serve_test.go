package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"backupfs/internal/cyruslab"
	"backupfs/internal/pglab"
)

// park is two live servers of four drive units each, one of them behind an agent, and the list of their users in PostgreSQL.
type park struct {
	pg      *pglab.Lab
	dsn     string
	servers string // of the configuration
	agent   *os.Process
}

const (
	parkServers = 2
	parkUnits   = 4   // of a server
	parkUsers   = 250 // of a drive unit
)

// mustPark makes it in seconds.
func mustPark(t *testing.T) *park {
	t.Helper()
	p := &park{pg: pglab.Start(t), dsn: filepath.Join(t.TempDir(), "dsn")}
	cyruslab.Must(t, os.WriteFile(p.dsn, []byte(p.pg.DSN("postgres", "")+"\n"), 0o600))
	p.pg.MustExec(t, "CREATE TABLE mailusers (username TEXT, imapserver TEXT, partition TEXT, number INT)")
	mail := []byte("Subject: hello\r\n\r\nto all\r\n")
	var rows []string
	for s := range parkServers {
		var options cyruslab.Options
		for unit := range parkUnits {
			options.Extra = append(options.Extra, fmt.Sprintf("partition-p%d: @DIR@/spool-p%d", unit, unit))
		}
		lab := cyruslab.Start(t, options)
		admin, err := lab.Admin()
		cyruslab.Must(t, err)
		var users []string
		for i := range parkUnits * parkUsers {
			user, unit := fmt.Sprintf("user%d%04d", s, i), fmt.Sprintf("p%d", i%parkUnits)
			cyruslab.Must(t, admin.CreateOn(lab.AdminName(user), unit))
			users = append(users, user)
			rows = append(rows, fmt.Sprintf("('%s', 'imap%d', '%s', %d)", user, s, unit, i))
		}
		cyruslab.Must(t, admin.Close(), lab.DeliverAll(users, mail))
		p.servers += fmt.Sprintf("[servers.imap%d]\n", s)
		if s == 0 {
			p.servers += fmt.Sprintf("imapd_conf = %q\n", lab.Conf)
			continue
		}
		addr, process, _ := mustAgent(t, lab.Conf, lab.Dir+"/run/agent")
		p.agent = process
		p.servers += fmt.Sprintf("address = %q\n", addr)
	}
	p.pg.MustExec(t, "INSERT INTO mailusers VALUES "+strings.Join(rows, ", "))
	return p
}

// config is one for the first users of each drive unit.
func (p *park) config(store string, perUnit, batch int) string {
	return fmt.Sprintf(`stores = [%q]
[users]
driver = "postgres"
dsn_file = %q
query = "SELECT username, imapserver, partition FROM mailusers WHERE number < %d"
refresh = "1s"
[log]
format = "json"
level = "debug"
[schedule]
workers = 12
batch = %d
per_drive_unit = 1
%s`, store, p.dsn, perUnit*parkUnits, batch, p.servers)
}

// TestServe: a record of who ran when shows that of a drive unit there is one batch at a time, of so many users at most, and the store that
// each user was backed up once: whatever else happens.
func TestServe(t *testing.T) {
	p := mustPark(t)
	t.Run("2,000 users", p.testAll)
	t.Run("killed, without PostgreSQL", p.testKilled)
	t.Run("an agent hangs", p.testHanging)
}

// begin writes a configuration, and starts with it.
func (p *park) begin(t *testing.T, perUnit, batch int) (config, store string, d *daemon) {
	t.Helper()
	dir := cyruslab.TempDir(t)
	config, store = filepath.Join(dir, "backupd.toml"), filepath.Join(dir, "store")
	cyruslab.Must(t, os.WriteFile(config, []byte(p.config(store, perUnit, batch)), 0o600))
	return config, store, startServe(t, config, filepath.Join(dir, "log"), "--make-stores")
}

func (p *park) testAll(t *testing.T) {
	const users, batch = parkServers * parkUnits * parkUsers, 50
	config, store, d := p.begin(t, parkUsers, batch)
	d.waitFor("through", func() bool { return d.turns("") == users })
	d.stop()
	checkRuns(t, store, users)
	checkRecords(t, batch, d.record())
	checkThrough(t, config, users)
}

// testKilled: it is killed in the middle, starts again while PostgreSQL is away, goes on with the list that it had, and takes up a new user
// when PostgreSQL is back. A configuration that is wrong is refused meanwhile.
func (p *park) testKilled(t *testing.T) {
	const perUnit, batch = 50, 7
	users := parkServers * parkUnits * perUnit
	p.pg.MustExec(t, "UPDATE mailusers SET number = 1000000 WHERE username = 'user00000'")
	config, store, first := p.begin(t, perUnit, batch)
	first.waitFor("in the middle", func() bool { return first.turns("") > users/4 }) // more have had theirs when it is noticed
	first.kill()
	p.pg.MustStop(t)
	t.Logf("killed after %d turns", first.turns(""))

	second := startServe(t, config, filepath.Join(filepath.Dir(config), "log2"))
	second.waitFor("told that PostgreSQL is away", func() bool { return second.count("the list of users cannot be read") == 1 })
	second.waitFor("through", func() bool { return mustStatus(t, config).Due == 0 })
	if st := mustStatus(t, config); len(st.Troubles) != 1 || st.Troubles[0].What != "list of users" {
		t.Errorf("%+v", st.Troubles)
	}
	p.pg.MustStart(t)
	p.pg.MustExec(t, "UPDATE mailusers SET number = 0 WHERE username = 'user00000'")
	second.waitFor("the new one's turn", func() bool {
		return slices.ContainsFunc(second.record(), func(l logged) bool { return l.Msg == turn && l.User == "user00000" })
	})
	if n := second.count("the list of users cannot be read"); n != 1 {
		t.Errorf("it is told %d times that PostgreSQL is away", n)
	}

	text, err := os.ReadFile(config)
	cyruslab.Must(t, err, os.WriteFile(config, append(text, "what = 1\n"...), 0o600), second.cmd.Process.Signal(syscall.SIGHUP))
	second.waitFor("refused", func() bool { return second.count("the configuration is not read anew") == 1 })
	cyruslab.Must(t, os.WriteFile(config, text, 0o600), second.cmd.Process.Signal(syscall.SIGHUP))
	second.waitFor("read", func() bool { return second.count("the configuration was read anew") == 1 })
	second.waitFor("through", func() bool { return mustStatus(t, config).Due == 0 })
	second.stop()
	checkRuns(t, store, users)
	checkRecords(t, batch, first.record(), second.record())
	checkThrough(t, config, users)
}

// testHanging: the users of the other server all have their turns meanwhile, and its own when it goes on. If it hangs in the middle, too, the
// daemon can be stopped all the same, and the next goes on.
func (p *park) testHanging(t *testing.T) {
	const perUnit, batch = 50, 7
	signal := func(sig syscall.Signal) { cyruslab.Must(t, p.agent.Signal(sig)) }
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	config, store, d := p.begin(t, perUnit, batch)
	d.waitFor("through with the others", func() bool { return d.turns("imap0") == parkUnits*perUnit })
	if n := d.turns("imap1"); n > 0 {
		t.Errorf("%d users have had a turn with an agent that hangs", n)
	}
	signal(syscall.SIGCONT)
	d.waitFor("in the middle", func() bool { return d.turns("imap1") > 2*batch })
	signal(syscall.SIGSTOP)
	d.stop()
	signal(syscall.SIGCONT)
	next := startServe(t, config, filepath.Join(filepath.Dir(config), "log2"))
	next.waitFor("through", func() bool {
		st := mustStatus(t, config)
		return st.Running && st.Due == 0
	})
	next.stop()
	checkRuns(t, store, parkServers*parkUnits*perUnit)
	checkRecords(t, batch, d.record(), next.record())
	checkThrough(t, config, parkServers*parkUnits*perUnit)
}

// statusJSON is what backupd status says of it.
type statusJSON struct {
	Running bool
	Due     int
	Units   []struct {
		Server, Unit               string
		Users, Never, Late, Failed int
	}
	Failures []any
	Troubles []struct{ What, Reason string }
}

func mustStatus(t *testing.T, config string) (st statusJSON) {
	t.Helper()
	cyruslab.Must(t, json.Unmarshal([]byte(mustRun(t, 0, "backupd", "status", "--config", config, "--json").stdout), &st))
	return st
}

// checkThrough: status says that all were backed up, by itself, when it does not run.
func checkThrough(t *testing.T, config string, users int) {
	t.Helper()
	st := mustStatus(t, config)
	n := 0
	for _, u := range st.Units {
		n += u.Users - u.Never - u.Failed - u.Late
	}
	if n != users || st.Due != 0 || len(st.Failures) != 0 || len(st.Units) != parkServers*parkUnits {
		t.Errorf("%d users are backed up, not %d: %+v", n, users, st)
	}
}

// checkRuns: everyone has one run.
func checkRuns(t *testing.T, store string, users int) {
	t.Helper()
	var listed struct {
		Users []struct {
			User string
			Runs int
		}
	}
	cyruslab.Must(t, json.Unmarshal([]byte(mustRun(t, 0, "backupd", "list", "--store", store, "--json").stdout), &listed))
	if len(listed.Users) != users {
		t.Errorf("the store has %d users, not %d", len(listed.Users), users)
	}
	for _, u := range listed.Users {
		if u.Runs != 1 {
			t.Errorf("%s has %d runs", u.User, u.Runs)
		}
	}
}

// unit is a drive unit.
type unit struct{ server, name string }

// checkRecords: of each drive unit there is one batch at a time, of so many users at most; and all have their turns in one record or another.
func checkRecords(t *testing.T, batch int, records ...[]logged) {
	t.Helper()
	units := map[unit]bool{}
	for _, record := range records {
		for of := range checkRecord(t, batch, record) {
			units[of] = true
		}
	}
	if len(units) != parkServers*parkUnits {
		t.Errorf("%d drive units had turns", len(units))
	}
}

// checkRecord returns the batches of each drive unit.
func checkRecord(t *testing.T, batch int, record []logged) map[unit][][]logged {
	t.Helper()
	batches := map[int][]logged{}
	for _, l := range record {
		if l.Msg == turn {
			batches[l.Batch] = append(batches[l.Batch], l)
		}
	}
	units := map[unit][][]logged{}
	for number, turns := range batches {
		of := unit{turns[0].Server, turns[0].Unit}
		units[of] = append(units[of], turns)
		if len(turns) > batch {
			t.Errorf("batch %d has %d users", number, len(turns))
		}
		for _, l := range turns {
			if (unit{l.Server, l.Unit}) != of || !l.Done {
				t.Errorf("batch %d, of %s, has %+v", number, of, l)
			}
		}
	}
	for of, all := range units {
		slices.SortFunc(all, func(a, b []logged) int { return a[0].Begun.Compare(b[0].Begun) })
		for i, turns := range all[1:] {
			before := all[i][len(all[i])-1]
			if ended := before.Begun.Add(before.Took); turns[0].Begun.Before(ended) {
				t.Errorf("%s: batch %d began at %s, and %d ended at %s", of, turns[0].Batch, turns[0].Begun, before.Batch, ended)
			}
		}
	}
	return units
}
