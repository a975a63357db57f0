package roster

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"backupfs/internal/pglab"
	"backupfs/schedule"
)

func said(dsn string) func() (string, error) { return func() (string, error) { return dsn, nil } }

var want = []schedule.User{{Name: "brong", Server: "imap1", Unit: "p1"}, {Name: "émilie@example.com", Server: "imap2", Unit: ""}}

const fill = `CREATE TABLE mailusers (username TEXT, imapserver TEXT, partition TEXT);
	INSERT INTO mailusers VALUES ('brong', 'imap1', 'p1'), ('émilie@example.com', 'imap2', NULL);`

const (
	query  = "SELECT username, imapserver, partition FROM mailusers ORDER BY username"
	secret = "s3cr3t/&%"
)

func check(t *testing.T, driver, dsn string) {
	t.Helper()
	users, err := SQL(driver, said(dsn), query)(t.Context())
	if err != nil || !reflect.DeepEqual(users, want) {
		t.Errorf("%v, %v", users, err)
	}
	for bad, says := range map[string]string{
		"SELECT username FROM mailusers":                          "1 columns (username), not three",
		"SELECT NULL, imapserver, partition FROM mailusers":       "row 1 has no user",
		"SELECT username, imapserver, partition FROM no_such_one": "no_such_one",
	} {
		if users, err := SQL(driver, said(dsn), bad)(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", bad, users, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := SQL(driver, said(dsn), query)(ctx); err == nil {
		t.Error("it does not end with its context")
	}
}

func TestPostgres(t *testing.T) {
	lab := pglab.Start(t)
	lab.MustExec(t, fill)
	check(t, "postgres", lab.DSN("postgres", ""))
	lab.MustExec(t, `CREATE ROLE backupd LOGIN PASSWORD '`+secret+`'; GRANT SELECT ON mailusers TO backupd;`)
	check(t, "postgres", lab.DSN("backupd", secret))
	for _, dsn := range []string{lab.DSN("nobody", secret), lab.DSN("backupd", secret) + "1"} {
		if _, err := SQL("postgres", said(dsn), query)(t.Context()); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	}
	lab.MustStop(t)
	if users, err := SQL("postgres", said(lab.DSN("postgres", secret)), query)(t.Context()); err == nil || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("from one that is away: %v, %v", users, err)
	}
}

func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "of users %20?.sqlite")
	db, err := sql.Open("sqlite3", "file:"+strings.NewReplacer("%", "%25", "?", "%3f").Replace(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(fill); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "sqlite", path)
	if users, err := SQL("sqlite", said(path+"x"), query)(t.Context()); err == nil {
		t.Errorf("from no file: %v", users)
	}
	if _, err := os.Stat(path + "x"); err == nil {
		t.Error("a wrong path made a file")
	}
}

// TestSecrets: what is wrong with a DSN, or behind it, never shows its password.
func TestSecrets(t *testing.T) {
	const addr = "127.0.0.1:1" // nobody is there
	for driver, dsns := range map[string][]string{
		"postgres": {
			"postgres://backupd:s3cr3t@" + addr + "/mail", "postgres://backupd:s3cr3t@" + addr + ":nan/mail", "postgres://backupd:s3cr3t%zz@h/mail",
			"password=s3cr3t", "password='s3cr3t", "host=127.0.0.1 port=1 password=s3cr3t sslmode=what", "s3cr3t",
		},
		"mysql": {
			"backupd:s3cr3t@tcp(" + addr + ")/mail", "backupd:s3cr3t@tcp(" + addr + "/mail", "backupd:s3cr3t@what(x)/mail", "s3cr3t",
			"backupd:s3cr3t@tcp(" + addr + ")/mail?timeout=s3cr3t", "backupd:s3cr3t@/mail?tls=s3cr3t",
		},
		"sqlite": {"file:/no/such?_auth_pass=s3cr3t&mode=what", "file:/no/such?mode=ro&_auth_pass=s3cr3t"},
	} {
		for _, dsn := range dsns {
			if _, err := SQL(driver, said(dsn), query)(t.Context()); err == nil || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("%s %s: %v", driver, dsn, err)
			}
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.csv")
	for text, users := range map[string][]schedule.User{
		"# all of them\nbrong, imap1, p1\n\nrobm\n\"a,b\",imap2\n": {{Name: "brong", Server: "imap1", Unit: "p1"}, {Name: "robm", Server: "only"}, {Name: "a,b", Server: "imap2"}},
		"brong,imap1,p1,what\n":  nil,
		",imap1,p1\n":            nil,
		"\"brong,imap1,p1\nrobm": nil,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := OnlyServer("only", File(path))(t.Context())
		if (err == nil) != (users != nil) || err == nil && !reflect.DeepEqual(got, users) || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := File(path + "x")(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
