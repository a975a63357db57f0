// Package roster reads lists of users: from a database, a file, or the servers themselves. An error never shows a DSN or a password.
package roster
