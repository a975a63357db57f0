package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"backupfs/cmd/internal/cli"
	"backupfs/restore"
)

// imapOptions are how the live mail is reached by IMAP.
type imapOptions struct {
	url          string
	passwordFile string
	insecure     bool
}

func (o *imapOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.url, "imap", "", "reach the live mail by IMAP at `URL`, as imaps://ADMIN@mail.example.org")
	flags.StringVar(&o.passwordFile, "password-file", "", "the password for --imap is the first line of `FILE`")
	flags.BoolVar(&o.insecure, "insecure", false, "with --imap imap://: no TLS, also to another host; who listens learns the password")
}

// check looks that the flags go together.
func (o *imapOptions) check(to string, missing bool) error {
	switch {
	case o.url == "" && (o.passwordFile != "" || o.insecure):
		return cli.Usagef("--password-file and --insecure are about --imap")
	case o.url != "" && strings.Contains(to, ":") && !missing:
		return cli.Usagef("--imap is about the live mail, which --to %s has nothing to do with (without --missing)", to)
	}
	return nil
}

// server is what --imap names.
func (o *imapOptions) server(user string) (restore.Server, error) {
	u, err := url.Parse(o.url)
	switch { // the URL itself is not told: a password may stand in it
	case err != nil || u.Scheme != "imap" && u.Scheme != "imaps" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return restore.Server{}, cli.Usagef("--imap: it is no URL as imaps://ADMIN@HOST[:PORT] or imap://…")
	case o.insecure && u.Scheme == "imaps":
		return restore.Server{}, cli.Usagef("--insecure: an imaps:// URL means TLS; use imap://")
	}
	if _, ok := u.User.Password(); ok {
		return restore.Server{}, cli.Usagef("--imap: a password in a URL is for all to see; use --password-file")
	}
	if o.passwordFile == "" {
		return restore.Server{}, cli.Usagef("--imap needs --password-file")
	}
	s := restore.Server{Login: user, User: user}
	if name := u.User.Username(); name != "" {
		s.Login = name
	}
	port := "143"
	switch {
	case u.Scheme == "imaps":
		s.Security, port = restore.IMAPS, "993"
	case o.insecure || isLoopback(u.Hostname()):
		s.Security = restore.Plain
	default:
		s.Security = restore.StartTLS
	}
	if u.Port() != "" {
		port = u.Port()
	}
	s.Address = net.JoinHostPort(u.Hostname(), port)
	b, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return restore.Server{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if s.Password = strings.TrimSuffix(line, "\r"); s.Password == "" {
		return restore.Server{}, cli.Usagef("%s: its first line is empty", o.passwordFile)
	}
	return s, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// open connects.
func (o *imapOptions) open(ctx context.Context, user, below string) (*restore.IMAP, error) {
	server, err := o.server(user)
	if err != nil {
		return nil, err
	}
	mail, err := restore.OpenIMAP(ctx, server, below)
	switch {
	case errors.Is(err, restore.ErrNoProxy):
		err = cli.WithHint(err, "--imap with the user's own login and password")
	case errors.Is(err, restore.ErrNoSecret):
		err = cli.WithHint(err, "--imap imaps://…")
	}
	return mail, err
}
