package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Files of one side.
type Files struct {
	CA   string // certificates of who signs for the other side; one or more
	Cert string // of this side
	Key  string
}

// In are the files of a folder as an Authority makes it.
func In(dir string) Files {
	return Files{CA: filepath.Join(dir, caCert), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
}

// Server is the configuration of an agent. The files are read again for each connection, so that renewed ones need no restart; that
// they are right now is checked here.
func Server(f Files) (*tls.Config, error) {
	if _, err := f.server(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.server() },
	}, nil
}

func (f Files) server() (*tls.Config, error) {
	c, err := f.load(agentRole)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
	c.SessionTicketsDisabled = true
	return c, nil
}

// Client is the configuration for one connection to an agent. serverName is a host or an IP address that its certificate must name.
func Client(f Files, serverName string) (*tls.Config, error) {
	c, err := f.load(clientRole)
	if err != nil {
		return nil, err
	}
	c.ServerName = serverName
	return c, nil
}

// load reads the files, and checks them as the other side will, to say what is wrong with which file.
func (f Files) load(r role) (*tls.Config, error) {
	pool, pair, err := f.read()
	if err != nil {
		return nil, err
	}
	if _, err := chains(pair, pool, r.usage); err != nil {
		return nil, fmt.Errorf("%s: not good as %s: %w", f.Cert, r.name, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{pair}}, nil
}

func (f Files) read() (*x509.CertPool, tls.Certificate, error) {
	var pair tls.Certificate
	roots, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, pair, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, pair, fmt.Errorf("%s: no certificate in it", f.CA)
	}
	pair, err = readPair(f.Cert, f.Key)
	return pool, pair, err
}

func readPair(cert, key string) (tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	var path *fs.PathError
	if err != nil && !errors.As(err, &path) {
		err = fmt.Errorf("%s, %s: %w", cert, key, err)
	}
	return pair, err
}

// role is a side of the connection.
type role struct {
	name  string
	usage x509.ExtKeyUsage
}

var (
	agentRole  = role{"agent", x509.ExtKeyUsageServerAuth}
	clientRole = role{"client", x509.ExtKeyUsageClientAuth}
)

// chains lead from a certificate to the CA.
func chains(pair tls.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) ([][]*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		between.AddCert(c)
	}
	return pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
}

// soon is how long before its end a certificate is worth a word.
const soon = 30 * 24 * time.Hour

// Expiring is an error if this side's certificate, or the CA's, has only weeks left.
func (f Files) Expiring() error {
	pool, pair, err := f.read()
	if err != nil {
		return err
	}
	all, err := chains(pair, pool, x509.ExtKeyUsageAny)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Cert, err)
	}
	var end time.Time
	for _, chain := range all {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		if first.After(end) {
			end = first
		}
	}
	if time.Until(end) > soon {
		return nil
	}
	return fmt.Errorf("%s: expires on %s, and then nothing is backed up: renew it, or its CA", f.Cert, end.UTC().Format(time.DateOnly))
}
