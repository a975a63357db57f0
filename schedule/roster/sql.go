package roster

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	"backupfs/schedule"
)

// connectTimeout is how long a database that is away is waited for, unless its DSN says otherwise.
const connectTimeout = 30 * time.Second

// opener opens a database by its DSN. secret is what no error may show.
type opener func(dsn string) (db *sql.DB, secret string, err error)

var openers = map[string]opener{"postgres": openPostgres, "mysql": openMySQL, "sqlite": openSQLite}

// SQL asks a database for the users. The query has three columns: name, server, drive unit; in this order, whatever they are called.
// The DSN is read each time.
func SQL(driver string, dsn func() (string, error), query string) func(context.Context) ([]schedule.User, error) {
	return func(ctx context.Context) ([]schedule.User, error) {
		text, err := dsn()
		if err != nil {
			return nil, err
		}
		db, secret, err := openers[driver](text)
		if err != nil {
			return nil, fmt.Errorf("it is no DSN of %s", driver) // the driver's error may quote it
		}
		defer func() { _ = db.Close() }() // it was only read
		users, err := ask(ctx, db, query)
		if err != nil {
			return nil, errors.New(driver + ": " + hide(err.Error(), text, secret))
		}
		return users, nil
	}
}

// hide takes secrets out of a driver's error.
func hide(text string, secrets ...string) string {
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if s != "" {
				text = strings.ReplaceAll(text, form, "…")
			}
		}
	}
	return strings.Join(strings.Fields(text), " ") // on one line
}

func ask(ctx context.Context, db *sql.DB, query string) (users []schedule.User, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if len(columns) != 3 {
		return nil, fmt.Errorf("the query has %d columns (%s), not three: user, server, drive unit", len(columns), strings.Join(columns, ", "))
	}
	for rows.Next() {
		var name, server, unit sql.NullString
		if err := rows.Scan(&name, &server, &unit); err != nil {
			return nil, err
		}
		if name.String == "" {
			return nil, fmt.Errorf("row %d has no user", len(users)+1)
		}
		users = append(users, schedule.User{Name: name.String, Server: server.String, Unit: unit.String})
	}
	return users, rows.Err()
}

func openPostgres(dsn string) (*sql.DB, string, error) {
	conf, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, "", err
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = connectTimeout
	}
	return stdlib.OpenDB(*conf), conf.Password, nil
}

func openMySQL(dsn string) (*sql.DB, string, error) {
	conf, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, "", err
	}
	if conf.Timeout == 0 {
		conf.Timeout = connectTimeout
	}
	connector, err := mysql.NewConnector(conf)
	if err != nil {
		return nil, "", err
	}
	return sql.OpenDB(connector), conf.Passwd, nil
}

// openSQLite only reads: a path that is wrong makes no empty database.
func openSQLite(dsn string) (*sql.DB, string, error) {
	if !strings.HasPrefix(dsn, "file:") {
		dsn = "file:" + (&url.URL{Path: dsn}).EscapedPath() + "?mode=ro"
	}
	db, err := sql.Open("sqlite3", dsn)
	return db, "", err
}
